"""Asks the model server over TensorFlow Serving's gRPC API, within the web server's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from core.protos import prediction_service_pb2 as serving
from core.protos.prediction_service_pb2_grpc import ModelServiceStub, PredictionServiceStub
from dashboard.gateway import tensors
from dashboard.gateway.tensors import ZONES, AnswerError
from dashboard.settings import Settings

SIGNATURE = "serving_default"
EXPLAIN = "explain"
ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'


class ServerError(Exception):
    """The model server did not answer so that it helps: an HTTP status, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Row:
    """The answer to one image."""

    probability: float
    decision: int
    threshold: float
    zone: str
    out_of_distribution: float
    version: str


@dataclass(frozen=True)
class Loaded:
    """One version the server knows."""

    version: str
    state: str
    error: str


class ModelServer:
    """A connection, made at the first call in the loop that calls."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._without_explain: set[str] = set()

    async def predict(self, images: Sequence[bytes], request_id: str, device_id: str | None) -> list[Row]:
        """One row an image. Raises ServerError."""
        settings = self._settings
        request = tensors.request(images, settings.model_name, SIGNATURE, settings.model_server_label)
        response = await self._call("Predict", request, request_id, device_id)
        try:
            return _rows(response, len(images))
        except AnswerError as error:
            raise ServerError(502, f"{settings.model_server}: {error}") from None

    async def explain(self, image: bytes, request_id: str, version: str) -> Any:
        """Where the model looked: bytes of a picture, a [height, width] map, or None where it cannot say."""
        if version in self._without_explain:
            return None
        settings = self._settings
        request = tensors.request([image], settings.model_name, EXPLAIN, settings.model_server_label)
        if version.isdigit() and not settings.model_server_label:
            request.model_spec.version.value = int(version)
        try:
            return tensors.picture(await self._call("Predict", request, request_id, None))
        except AnswerError:
            return None
        except ServerError as error:
            if error.status in (422, 502):
                self._without_explain.add(version)
            return None

    async def versions(self) -> list[Loaded]:
        """The versions the server holds, newest first. Raises ServerError."""
        request = serving.GetModelStatusRequest()
        request.model_spec.name = self._settings.model_name
        response = await self._call("GetModelStatus", request, "", None, timeout=2.0)
        states = serving.ModelVersionStatus.State
        found = [
            Loaded(str(one.version), states.Name(one.state), one.status.error_message)
            for one in response.model_version_status
        ]
        return sorted(found, key=lambda one: -int(one.version))

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    async def _call(
        self, method: str, request: Any, request_id: str, device_id: str | None, timeout: float | None = None
    ) -> Any:
        settings = self._settings
        metadata = [("x-request-id", request_id)] if request_id else []
        if device_id:
            metadata.append(("x-device-id", device_id))
        if settings.model_server_token_file is not None:
            token = _read(settings.model_server_token_file).decode().strip()
            metadata.append(("authorization", f"Bearer {token}"))
        stub: Any = (PredictionServiceStub if method == "Predict" else ModelServiceStub)(self._connected())
        try:
            return await getattr(stub, method)(
                request, timeout=timeout or settings.predict_timeout_s, metadata=tuple(metadata)
            )
        except grpc.RpcError as error:
            raise _fault(error, settings.model_server) from None

    def _connected(self) -> grpc.aio.Channel:
        loop = asyncio.get_running_loop()
        if self._channel is None or self._loop is not loop:
            self._channel, self._loop = self._connect(), loop
        return self._channel

    def _connect(self) -> grpc.aio.Channel:
        settings = self._settings
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.enable_http_proxy", 0),
        ]
        if settings.model_server.startswith("dns:///"):
            options.append(("grpc.service_config", ROUND_ROBIN))
        if settings.model_server_ca_file is None:
            return grpc.aio.insecure_channel(settings.model_server, options)
        credentials = grpc.ssl_channel_credentials(_read(settings.model_server_ca_file))
        return grpc.aio.secure_channel(settings.model_server, credentials, options)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ServerError(500, f"{path}: {error.strerror}") from None


def _rows(response: serving.PredictResponse, count: int) -> list[Row]:
    probability = tensors.values(response, "probability", count)
    decision = tensors.values(response, "decision", count)
    threshold = tensors.values(response, "threshold", count)
    strange = tensors.values(response, "out_of_distribution", count)
    zones = tensors.texts(response, "zone", count)
    version = str(response.model_spec.version.value)
    versions = (
        tensors.texts(response, "model_version", count)
        if "model_version" in response.outputs
        else [version] * count
    )
    result = []
    for i in range(count):
        if not 0 <= probability[i] <= 1 or zones[i] not in ZONES or decision[i] not in (0, 1):
            raise AnswerError(
                f"row {i}: probability {probability[i]}, decision {decision[i]}, zone {zones[i]!r}"
            )
        result.append(
            Row(
                float(probability[i]),
                int(decision[i]),
                float(threshold[i]),
                zones[i],
                float(strange[i]),
                # A version folder's name is what served; the model's own word may be that of another copy.
                version if version != "0" else versions[i],
            )
        )
    return result


def _fault(error: Any, target: str) -> ServerError:
    code = error.code()
    text = f"{target}: {code.name}: {(error.details() or '')[:300]}"
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return ServerError(422, text)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ServerError(504, text)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return ServerError(503, text)
    return ServerError(502, text)
