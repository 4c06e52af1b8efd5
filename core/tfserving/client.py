"""A gRPC client for TensorFlow Serving's API, for threads (Client) and for an event loop (AsyncClient).

    with Client("127.0.0.1:8500") as client:
        answer = client.predict("melanoma", {"image_bytes": [jpeg]})
        answer.outputs["probability"], answer.version

Every call has a deadline. UNAVAILABLE is asked again once within it (a server that restarts loses no answer), and so
is what a stopping server cancels, which is reported as UNAVAILABLE. A `dns:///` target of a headless Kubernetes service
is balanced round robin over all its addresses. Certificates and tokens are read again when their files change.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, Unpack

import grpc

from core.protos import prediction_service_pb2 as protos
from core.tfserving.channel import Channel, Channels, ClientError, Metadata, Options
from core.tfserving.tensors import Array, RequestOptions, Value, from_proto, predict_request


@dataclass(frozen=True)
class Prediction:
    """A Predict answer."""

    outputs: dict[str, Array]
    name: str
    version: int
    signature: str

    @classmethod
    def of(cls, response: protos.PredictResponse) -> Self:
        """Read a response. Raises InvalidResponseError."""
        spec = response.model_spec
        arrays = {key: from_proto(proto) for key, proto in response.outputs.items()}
        return cls(arrays, spec.name, int(spec.version.value), spec.signature_name)


@dataclass(frozen=True)
class ModelVersion:
    """A line of GetModelStatus; `state` is the name of its enum: `AVAILABLE`, `LOADING`, ..."""

    version: int
    state: str
    error: str


class Client:
    """A connection to a model server for threads; made to be kept."""

    def __init__(self, target: str, options: Options | None = None) -> None:
        self.target = target
        self.options = options or Options()
        self._channels = Channels(target, self.options, grpc)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        channel = self._channels.take()
        if channel is not None:
            channel.close()

    def predict(
        self,
        name: str,
        inputs: Mapping[str, Value],
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        **options: Unpack[RequestOptions],
    ) -> Prediction:
        """Ask a model; arguments as for tensors.predict_request.

        Raises:
            ClientError: With the server's code and message.
            InvalidResponseError: The answer makes no sense.
        """
        request = predict_request(name, inputs, **options)
        return Prediction.of(self.predict_raw(request, timeout_s=timeout_s, metadata=metadata))

    def predict_raw(
        self, request: protos.PredictRequest, *, timeout_s: float | None = None, metadata: Metadata = ()
    ) -> protos.PredictResponse:
        """Send a PredictRequest. Raises ClientError."""
        response: protos.PredictResponse = self._call("predict", request, timeout_s, metadata)
        return response

    def status(
        self,
        name: str,
        version: int | None = None,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
    ) -> list[ModelVersion]:
        """Return the versions of a model, newest first. Raises ClientError."""
        return _versions(self._call("status", _status_request(name, version), timeout_s, metadata))

    def _call(self, method: str, request: Any, timeout_s: float | None, metadata: Metadata) -> Any:
        tries = _Tries(self.target, self.options, timeout_s)
        while True:
            try:
                with self._channels.use(lambda channel: channel.close()) as channel:
                    try:
                        return getattr(channel, method)(
                            request, timeout=tries.seconds_left(), metadata=self._channels.metadata(metadata)
                        )
                    except grpc.RpcError as error:
                        if tries.failed(error, channel) is grpc.StatusCode.DEADLINE_EXCEEDED:
                            self._channels.drop(channel)
            except ValueError as error:  # closed by another thread
                raise ClientError(grpc.StatusCode.CANCELLED, str(error), self.target) from None
            time.sleep(tries.pause_s())


class AsyncClient:
    """A connection to a model server, opened in the event loop that calls first; made to be kept."""

    def __init__(self, target: str, options: Options | None = None) -> None:
        self.target = target
        self.options = options or Options()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channels = Channels(target, self.options, grpc.aio)
        self._closing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        channel = self._channels.take()
        if channel is not None:
            await channel.close()
        while self._closing:
            await self._closing.pop()

    async def predict_raw(
        self, request: protos.PredictRequest, *, timeout_s: float | None = None, metadata: Metadata = ()
    ) -> protos.PredictResponse:
        """Send a PredictRequest. Raises ClientError."""
        response: protos.PredictResponse = await self._call("predict", request, timeout_s, metadata)
        return response

    async def status(
        self, name: str, *, timeout_s: float | None = None, metadata: Metadata = ()
    ) -> list[ModelVersion]:
        """Return the versions of a model, newest first. Raises ClientError."""
        return _versions(await self._call("status", _status_request(name), timeout_s, metadata))

    def _retire(self, channel: Any) -> None:
        task = asyncio.get_running_loop().create_task(channel.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _call(self, method: str, request: Any, timeout_s: float | None, metadata: Metadata) -> Any:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a channel belongs to the loop that opened it
            self._channels.take()
            self._loop = loop
        tries = _Tries(self.target, self.options, timeout_s)
        while True:
            with self._channels.use(self._retire) as channel:
                try:
                    return await getattr(channel, method)(
                        request, timeout=tries.seconds_left(), metadata=self._channels.metadata(metadata)
                    )
                except grpc.RpcError as error:
                    if tries.failed(error, channel) is grpc.StatusCode.DEADLINE_EXCEEDED:
                        self._channels.drop(channel)
                except grpc.aio.UsageError as error:  # closed meanwhile
                    raise ClientError(grpc.StatusCode.CANCELLED, str(error), self.target) from None
            await asyncio.sleep(tries.pause_s())


class _Tries:
    """The tries of one call: how long is left, and whether there is another one."""

    def __init__(self, target: str, options: Options, timeout_s: float | None) -> None:
        self._target, self._retry = target, options.retry
        self._limit = time.monotonic() + (options.timeout_s if timeout_s is None else timeout_s)
        self._attempt = 0
        self._error: ClientError | None = None

    def seconds_left(self) -> float:
        """Return what the next try may take."""
        return max(self._limit - time.monotonic(), 0.001)

    def failed(self, error: Any, channel: Channel) -> grpc.StatusCode:
        """Keep a try's failure and return its code."""
        code = error.code()
        # Nobody here gave the call up: the server stopped before a handler had seen it (grpc/grpc#41785).
        if code is grpc.StatusCode.CANCELLED and not channel.closed:
            code = grpc.StatusCode.UNAVAILABLE
        self._error = ClientError(code, error.details() or "no details", self._target)
        return code

    def pause_s(self) -> float:
        """Return the seconds to wait before the next try; the last failure is raised if there is none."""
        pause_s = self._retry.pause_s(self._attempt)
        self._attempt += 1
        is_last = self._attempt >= self._retry.attempts or time.monotonic() + pause_s >= self._limit
        if self._error is not None and (is_last or self._error.code is not grpc.StatusCode.UNAVAILABLE):
            raise self._error
        return pause_s


def _status_request(name: str, version: int | None = None) -> protos.GetModelStatusRequest:
    request = protos.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return request


def _versions(response: protos.GetModelStatusResponse) -> list[ModelVersion]:
    states = protos.ModelVersionStatus.State
    found = [
        ModelVersion(int(one.version), states.Name(one.state), one.status.error_message)
        for one in response.model_version_status
    ]
    return sorted(found, key=lambda one: -one.version)
