"""A typed gRPC client for this server and for TensorFlow Serving: one interface, plain errors.

    with Client("127.0.0.1:8500") as client:
        answer = client.predict("melanoma", {"image_bytes": [jpeg]})
        answer.outputs["probability"], answer.version

Retries happen on UNAVAILABLE only, with jitter, within the deadline. A `dns:///` target of a headless Kubernetes
service is balanced round robin over all its addresses, and idle connections are kept alive.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from serving.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from serving.status import Code
from serving.tensors import Array
from serving.values import Value, from_proto, predict_request


class ClientError(Exception):
    """A call that failed: what was asked of whom, and why it failed."""

    def __init__(self, code: Code, message: str, target: str) -> None:
        super().__init__(f"{target}: {code.name}: {message}")
        self.code = code
        self.message = message
        self.target = target


@dataclass(frozen=True)
class Tls:
    """PEM files: the authority to trust, and for mutual TLS this client's key and certificate."""

    ca: Path | None = None
    key: Path | None = None
    cert: Path | None = None
    server_name: str | None = None  # where the certificate names another host than the target

    def credentials(self) -> grpc.ChannelCredentials:
        """Channel credentials."""

        def read(path: Path | None) -> bytes | None:
            return path.read_bytes() if path is not None else None

        return grpc.ssl_channel_credentials(read(self.ca), read(self.key), read(self.cert))


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with full jitter; times in seconds."""

    attempts: int = 4
    first: float = 0.1
    factor: float = 2.0
    most: float = 2.0

    def wait(self, attempt: int) -> float:
        """How long to wait after a failed attempt (0, 1, ...)."""
        return random.uniform(0, min(self.most, self.first * self.factor**attempt))  # noqa: S311 - no secret


@dataclass(frozen=True)
class Prediction:
    """A Predict answer."""

    outputs: dict[str, Array]
    name: str
    version: int
    signature: str


@dataclass(frozen=True)
class ModelVersion:
    """A line of GetModelStatus."""

    version: int
    state: str
    error: str


class Client:
    """A connection to a model server; thread-safe, made to be kept."""

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 10.0,
        tls: Tls | None = None,
        token: str | None = None,
        retry: Retry | None = None,
    ) -> None:
        """`timeout`: seconds a call may take, retries included."""
        self.target = target
        self._timeout = timeout
        self._retry = retry or Retry()
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.lb_policy_name", "round_robin"),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # This class retries itself: twice would multiply.
            ("grpc.enable_retries", 0),
        ]
        if tls is not None and tls.server_name:
            options.append(("grpc.ssl_target_name_override", tls.server_name))
        self.channel = (
            grpc.insecure_channel(target, options)
            if tls is None
            else grpc.secure_channel(target, tls.credentials(), options)
        )
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.channel.close()

    def _call(self, method: Callable[..., Any], request: Any, timeout: float | None) -> Any:
        limit = time.monotonic() + (self._timeout if timeout is None else timeout)
        attempt = 0
        while True:
            left = limit - time.monotonic()
            try:
                return method(request, timeout=max(left, 0.001), metadata=self._metadata)
            except grpc.RpcError as error:
                code = Code(error.code().value[0])
                wait = self._retry.wait(attempt)
                attempt += 1
                again = code is Code.UNAVAILABLE and attempt < self._retry.attempts
                if not again or time.monotonic() + wait >= limit:
                    raise ClientError(code, error.details() or "no details", self.target) from error
                time.sleep(wait)

    def predict(
        self,
        name: str,
        inputs: Mapping[str, Value],
        *,
        signature: str = "",
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Prediction:
        """Ask a model.

        Raises:
            ClientError: with the server's code and message.
        """
        request = predict_request(
            name, inputs, signature=signature, version=version, label=label, outputs=outputs
        )
        response = self._call(self._predictions.Predict, request, timeout)
        spec = response.model_spec
        arrays = {key: from_proto(proto) for key, proto in response.outputs.items()}
        return Prediction(arrays, spec.name, int(spec.version.value), spec.signature_name)

    def status(
        self, name: str, version: int | None = None, timeout: float | None = None
    ) -> list[ModelVersion]:
        """The versions of a model, newest first."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        response = self._call(self._models.GetModelStatus, request, timeout)
        states = get_model_status_pb2.ModelVersionStatus.State
        return [
            ModelVersion(int(one.version), states.Name(one.state), one.status.error_message)
            for one in response.model_version_status
        ]

    def signatures(self, name: str, timeout: float | None = None) -> dict[str, Any]:
        """The SignatureDefs of the latest version."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = name
        response = self._call(self._predictions.GetModelMetadata, request, timeout)
        found = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(found)
        return dict(found.signature_def)

    def reload(self, config: Any, timeout: float | None = None) -> None:
        """Replace the server's ModelServerConfig."""
        request = model_management_pb2.ReloadConfigRequest(config=config)
        self._call(self._models.HandleReloadConfigRequest, request, timeout)
