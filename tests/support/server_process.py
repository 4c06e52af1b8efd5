"""A real server process on 127.0.0.1, with stubs for both of its services and a small HTTP client."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from core.tfserving import tensors
from serving.protos import (
    get_model_status_pb2,
    model_management_pb2,
    model_server_config_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

ROOT = Path(__file__).resolve().parents[2]
# Seconds that anything may take on a busy machine; what comes is not waited for any longer.
PATIENCE_S = 120.0


def model_config(*models: dict[str, Any]) -> Any:
    """A ModelServerConfig from dicts of name, base_path and optionally versions, labels, policy, platform."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.SetInParent()
    for model in models:
        one = config.model_config_list.config.add(
            name=model["name"],
            base_path=str(model["base_path"]),
            model_platform=model.get("platform", "tensorflow"),
        )
        if "versions" in model:
            one.model_version_policy.specific.versions.extend(model["versions"])
        if model.get("policy") == "all":
            one.model_version_policy.all.SetInParent()
        if "latest" in model:
            one.model_version_policy.latest.num_versions = model["latest"]
        for label, version in model.get("labels", {}).items():
            one.version_labels[label] = version
    return config


def predict_request(name: str, inputs: dict[str, Any], **spec: Any) -> Any:
    """A PredictRequest of TensorFlow Serving's own stubs."""
    request = tensors.predict_request(name, inputs, **spec)
    return predict_pb2.PredictRequest.FromString(request.SerializeToString())


def until(condition: Callable[[], object]) -> None:
    """Wait for what is bound to come; the test's own limit ends what does not."""
    while not condition():
        threading.Event().wait(0.01)


class ServerProcess:
    """A running server; a context manager that stops it."""

    def __init__(self, folder: Path, *flags: str, wait: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / "server.log"
        self._ports_file = folder / "ports.json"
        self._ports_file.unlink(missing_ok=True)
        defaults = ["--host=127.0.0.1", "--port=-1", "--rest_api_port=-1", f"--ports_file={self._ports_file}"]
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving", *defaults, *flags],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            )
        self.ports: dict[str, int] = {}
        self._channel: grpc.Channel | None = None
        if wait:
            try:
                self.await_ports()
            except BaseException:  # a test whose time is over leaves no process behind
                self.process.kill()
                raise

    def await_ports(self, timeout: float = PATIENCE_S) -> None:
        limit = time.monotonic() + timeout
        while not self._ports_file.exists():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise AssertionError(f"the server did not start:\n{self.log()}")
            time.sleep(0.02)
        self.ports = json.loads(self._ports_file.read_text())

    def log(self) -> str:
        return self.log_path.read_text()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, sign: int = signal.SIGTERM, timeout: float = PATIENCE_S) -> int:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    # --- gRPC

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.ports['grpc']}"

    @property
    def channel(self) -> grpc.Channel:
        if self._channel is None:
            size = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
            self._channel = grpc.insecure_channel(self.target, size)
        return self._channel

    @property
    def prediction(self) -> Any:
        return prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    @property
    def models(self) -> Any:
        return model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, name: str, inputs: dict[str, Any], timeout: float = PATIENCE_S, **spec: Any) -> Any:
        return self.prediction.Predict(predict_request(name, inputs, **spec), timeout=timeout)

    def status(self, name: str, version: int | None = None) -> dict[int, tuple[str, str]]:
        """Version to state and error message, in the order of the answer."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        response = self.models.GetModelStatus(request, timeout=PATIENCE_S)
        name_of = get_model_status_pb2.ModelVersionStatus.State.Name
        return {v.version: (name_of(v.state), v.status.error_message) for v in response.model_version_status}

    def await_state(self, name: str, version: int, state: str, timeout: float = PATIENCE_S) -> str:
        """Wait until a version is in a state; returns its error message."""
        limit = time.monotonic() + timeout
        seen: Any = None
        while time.monotonic() < limit:
            try:
                seen = self.status(name)
            except grpc.RpcError as error:
                seen = error.details()
            else:
                if seen.get(version, ("",))[0] == state:
                    return seen[version][1]
            time.sleep(0.05)
        raise AssertionError(f"{name} {version} never became {state}: {seen}\n{self.log()[-2000:]}")

    def reload(self, *models: dict[str, Any], timeout: float = PATIENCE_S) -> Any:
        request = model_management_pb2.ReloadConfigRequest(config=model_config(*models))
        return self.models.HandleReloadConfigRequest(request, timeout=timeout)

    # --- REST

    def http(
        self, method: str, path: str, body: str | bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["rest"], timeout=PATIENCE_S)
        try:
            data = body.encode() if isinstance(body, str) else body
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
            return response.status, text, {k.lower(): v for k, v in response.getheaders()}
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, Any]:
        status, text, _ = self.http("GET", path)
        return status, json.loads(text) if text.startswith("{") else text

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        status, answer, _ = self.http("POST", path, text)
        return status, json.loads(answer) if answer.startswith("{") else answer

    def metrics(self) -> dict[str, float]:
        _, text, _ = self.http("GET", "/monitoring/prometheus/metrics")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def error(answer: dict[str, Any]) -> str:
    """The message of a REST answer that is an error and nothing else."""
    assert list(answer) == ["error"]
    message: str = answer["error"]
    return message
