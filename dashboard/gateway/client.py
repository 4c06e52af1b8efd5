"""Asks the model server over TensorFlow Serving's gRPC API, within the web server's event loop."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import numpy as np
from numpy.typing import NDArray

from core.features import IMAGE_BYTES
from core.tfserving.answers import EXPLAIN, SIGNATURE, ModelAnswer, read_answers, read_explanation
from core.tfserving.channel import ClientError, CredentialsError, Options, Tls
from core.tfserving.client import AsyncClient, ModelVersion
from core.tfserving.tensors import InvalidResponseError, predict_request
from dashboard.faults import FaultError
from dashboard.settings import Settings

MAX_RESPONSE_BYTES = 64 << 20
STATUS_TIMEOUT_S = 2.0
STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 422,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 503,
}


class ModelServer:
    """What the gateway asks of the model server; a fault's status is what the caller gets."""

    def __init__(self, settings: Settings) -> None:
        self._model = settings.model_name
        self._label = settings.model_server_label or None
        ca = settings.model_server_ca_file
        self._client = AsyncClient(
            settings.model_server,
            Options(
                timeout_s=settings.predict_timeout_s,
                tls=Tls(ca=ca) if ca is not None else None,
                token=settings.model_server_token_file,
                max_receive_bytes=MAX_RESPONSE_BYTES,
            ),
        )
        self._without_explain: set[str] = set()

    async def predict(
        self, images: Sequence[bytes], request_id: str, device_id: str | None
    ) -> list[ModelAnswer]:
        """Return one answer an image. Raises FaultError."""
        try:
            response = await self._client.predict_raw(
                predict_request(
                    self._model, {IMAGE_BYTES: list(images)}, signature=SIGNATURE, label=self._label
                ),
                metadata=_metadata(request_id, device_id),
            )
            return read_answers(response, len(images))
        except ClientError as error:
            raise _fault(error) from None
        except InvalidResponseError as error:
            raise FaultError(502, f"{self._client.target}: {error}") from None

    async def explain(
        self, image: bytes, request_id: str, version: str
    ) -> bytes | NDArray[np.float32] | None:
        """Return where the model looked: a picture's bytes, a [height, width] map, or None where it cannot say."""
        if version in self._without_explain:
            return None
        wanted = int(version) if version.isdigit() and not self._label else None
        request = predict_request(
            self._model, {IMAGE_BYTES: [image]}, signature=EXPLAIN, version=wanted, label=self._label
        )
        try:
            return read_explanation(
                await self._client.predict_raw(request, metadata=_metadata(request_id, None))
            )
        except InvalidResponseError:
            return None
        except ClientError as error:
            if _fault(error).status in (422, 502):
                self._without_explain.add(version)
            return None

    async def versions(self) -> list[ModelVersion]:
        """Return the versions the server holds, newest first. Raises FaultError."""
        try:
            return await self._client.status(self._model, timeout_s=STATUS_TIMEOUT_S)
        except ClientError as error:
            raise _fault(error) from None

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()


def _metadata(request_id: str, device_id: str | None) -> list[tuple[str, str]]:
    pairs = (("x-request-id", request_id), ("x-device-id", device_id))
    return [(key, value) for key, value in pairs if value]


def _fault(error: ClientError) -> FaultError:
    status = 500 if isinstance(error, CredentialsError) else STATUSES.get(error.code, 502)
    return FaultError(status, f"{error.target}: {error.code.name}: {error.message[:300]}")
