"""A gRPC client for TensorFlow Serving's API, for threads (Client) and for an event loop (AsyncClient).

    with Client("127.0.0.1:8500") as client:
        answer = client.predict("melanoma", {"image_bytes": [jpeg]})
        answer.outputs["probability"], answer.version

Every call has a deadline. UNAVAILABLE is asked again once within it (a server that restarts loses no answer);
after a deadline the next call opens a new connection, because packets into a half-open one vanish for
minutes. A `dns:///` target of a headless Kubernetes service is balanced round robin over all its addresses.
Certificates and tokens are read again when their files change.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from core.protos import prediction_service_pb2 as protos
from core.protos.prediction_service_pb2_grpc import ModelServiceStub, PredictionServiceStub
from core.tfserving.tensors import Array, Value, from_proto, predict_request

ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'
Metadata = Sequence[tuple[str, str]]


class ClientError(Exception):
    """A call that failed: the target asked, gRPC's status code, and the server's or the library's message."""

    def __init__(self, code: grpc.StatusCode, message: str, target: str) -> None:
        super().__init__(f"{target}: {code.name}: {message}")
        self.code = code
        self.message = message
        self.target = target


class CredentialsError(ClientError):
    """A certificate, key or token file cannot be read; nothing was sent."""

    def __init__(self, path: object, reason: object, target: str) -> None:
        super().__init__(grpc.StatusCode.UNAUTHENTICATED, f"{path}: cannot be read: {reason}", target)


@dataclass(frozen=True)
class Tls:
    """PEM files: the authority to trust, and for mutual TLS this client's key and certificate.

    `server_name` is the name to expect if the certificate names another host than the target.
    """

    ca: Path | None = None
    key: Path | None = None
    cert: Path | None = None
    server_name: str | None = None

    @property
    def files(self) -> tuple[Path | None, ...]:
        """Authority, key, certificate."""
        return (self.ca, self.key, self.cert)


@dataclass(frozen=True)
class Retry:
    """How often UNAVAILABLE is asked, with full jitter between; pauses in seconds."""

    attempts: int = 2
    first_s: float = 0.2
    factor: float = 2.0
    max_s: float = 2.0

    def pause_s(self, attempt: int) -> float:
        """Return how long to wait after a failed attempt (0, 1, ...)."""
        return random.uniform(0, min(self.max_s, self.first_s * self.factor**attempt))  # noqa: S311 - no secret


ONCE = Retry(attempts=1)


@dataclass(frozen=True)
class Options:
    """What a connection is made with.

    Attributes:
        timeout_s: Seconds that a call may take, a second try included.
        retry: What is done about UNAVAILABLE.
        tls: The files of a secure connection; a plain one if None.
        token: A bearer token, or the file that holds one.
        keepalive_s: Seconds between pings on a quiet connection.
        keepalive_idle: Ping also while no call is under way, to notice a dead link before the next call.
        max_receive_bytes: The largest answer taken; -1 for any.
    """

    timeout_s: float = 10.0
    retry: Retry = field(default_factory=Retry)
    tls: Tls | None = None
    token: str | Path | None = None
    keepalive_s: float = 30.0
    keepalive_idle: bool = False
    max_receive_bytes: int = -1

    def channel_arguments(self) -> list[tuple[str, Any]]:
        """Return gRPC's channel arguments."""
        arguments: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", self.max_receive_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.service_config", ROUND_ROBIN),
            ("grpc.keepalive_time_ms", int(self.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # Tries are counted here: twice would multiply.
            ("grpc.enable_retries", 0),
            # A private network is asked: HTTP_PROXY is for the outside.
            ("grpc.enable_http_proxy", 0),
            # Else a new channel would be given the old one's half-open connection.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self.keepalive_idle:
            arguments += [
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_pings_without_data", 0),
            ]
        if self.tls is not None and self.tls.server_name:
            arguments.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return arguments


@dataclass(frozen=True)
class Prediction:
    """A Predict answer."""

    outputs: dict[str, Array]
    name: str
    version: int
    signature: str


@dataclass(frozen=True)
class ModelVersion:
    """A line of GetModelStatus; `state` is the name of its enum: `AVAILABLE`, `LOADING`, ..."""

    version: int
    state: str
    error: str


class _Connection:
    """A channel with its methods, and how many calls are under way."""

    def __init__(self, channel: Any, files: tuple[object, ...]) -> None:
        self.channel = channel
        self.files = files
        self.calls = 0
        self.predict: Any = PredictionServiceStub(channel).Predict  # type: ignore[no-untyped-call]
        self.status: Any = ModelServiceStub(channel).GetModelStatus  # type: ignore[no-untyped-call]


class _Connections:
    """The channel of a client; replaced after a deadline and when a file changed, closed when its calls ended."""

    def __init__(self, target: str, options: Options, module: Any) -> None:
        self.target = target
        self.options = options
        self._grpc = module
        self._lock = threading.Lock()
        self._current: _Connection | None = None

    @contextmanager
    def use(self, ended: Callable[[Any], None]) -> Iterator[_Connection]:
        """Lend the current connection; `ended` is given the channels that nobody uses any more."""
        with self._lock:
            files = _fingerprint(self.options.tls)
            old = self._current
            if old is not None and old.files != files:
                self._current = None
            if self._current is None:
                self._current = _Connection(self._connect(), files)
            lent = self._current
            lent.calls += 1
        if old is not None and old is not lent:
            self._close_unused(old, ended)
        try:
            yield lent
        finally:
            with self._lock:
                lent.calls -= 1
            self._close_unused(lent, ended)

    def drop(self, connection: _Connection) -> None:
        """Let the next call open a new connection."""
        with self._lock:
            if self._current is connection:
                self._current = None

    def take(self) -> Any:
        """Return the current channel, to close it; None if there is none."""
        with self._lock:
            current, self._current = self._current, None
            return current.channel if current is not None else None

    def metadata(self, extra: Metadata) -> tuple[tuple[str, str], ...]:
        """Return a call's metadata with the bearer token."""
        token = self.options.token
        if isinstance(token, Path):
            token = _read(token, self.target).decode("utf-8", "replace").strip()
        return (*extra, ("authorization", f"Bearer {token}")) if token else tuple(extra)

    def _close_unused(self, connection: _Connection, ended: Callable[[Any], None]) -> None:
        with self._lock:
            unused = connection.calls == 0 and connection is not self._current
        if unused:
            ended(connection.channel)

    def _connect(self) -> Any:
        tls, arguments = self.options.tls, self.options.channel_arguments()
        if tls is None:
            return self._grpc.insecure_channel(self.target, arguments)
        ca, key, cert = (_read(path, self.target) if path is not None else None for path in tls.files)
        return self._grpc.secure_channel(self.target, grpc.ssl_channel_credentials(ca, key, cert), arguments)


class Client:
    """A connection to a model server for threads; made to be kept."""

    def __init__(self, target: str, options: Options | None = None) -> None:
        self.target = target
        self.options = options or Options()
        self._connections = _Connections(target, self.options, grpc)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        channel = self._connections.take()
        if channel is not None:
            channel.close()

    def predict(
        self,
        name: str,
        inputs: Mapping[str, Value],
        *,
        signature: str = "",
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] = (),
        timeout_s: float | None = None,
        metadata: Metadata = (),
    ) -> Prediction:
        """Ask a model; arguments as for tensors.predict_request.

        Raises:
            ClientError: With the server's code and message.
            InvalidResponseError: The answer makes no sense.
        """
        request = predict_request(
            name, inputs, signature=signature, version=version, label=label, outputs=outputs
        )
        return _prediction(self.predict_raw(request, timeout_s=timeout_s, metadata=metadata))

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
        limit = time.monotonic() + (self.options.timeout_s if timeout_s is None else timeout_s)
        attempt = 0
        while True:
            try:
                with self._connections.use(_close) as connection:
                    try:
                        return getattr(connection, method)(
                            request,
                            timeout=max(limit - time.monotonic(), 0.001),
                            metadata=self._connections.metadata(metadata),
                        )
                    except grpc.RpcError as error:
                        failed = _failure(error, self.target)
                        if failed.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                            self._connections.drop(connection)
            except ValueError as error:  # closed by another thread
                raise ClientError(grpc.StatusCode.CANCELLED, str(error), self.target) from None
            pause_s = _pause_s(failed, self.options.retry, attempt, limit)
            if pause_s is None:
                raise failed
            attempt += 1
            time.sleep(pause_s)


class AsyncClient:
    """A connection to a model server, opened in the event loop that calls first; made to be kept."""

    def __init__(self, target: str, options: Options | None = None) -> None:
        self.target = target
        self.options = options or Options()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections = _Connections(target, self.options, grpc.aio)
        self._closing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        channel = self._connections.take()
        if channel is not None:
            await channel.close()
        while self._closing:
            await self._closing.pop()

    async def predict(
        self,
        name: str,
        inputs: Mapping[str, Value],
        *,
        signature: str = "",
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] = (),
        timeout_s: float | None = None,
        metadata: Metadata = (),
    ) -> Prediction:
        """Ask a model; see Client.predict."""
        request = predict_request(
            name, inputs, signature=signature, version=version, label=label, outputs=outputs
        )
        return _prediction(await self.predict_raw(request, timeout_s=timeout_s, metadata=metadata))

    async def predict_raw(
        self, request: protos.PredictRequest, *, timeout_s: float | None = None, metadata: Metadata = ()
    ) -> protos.PredictResponse:
        """Send a PredictRequest. Raises ClientError."""
        response: protos.PredictResponse = await self._call("predict", request, timeout_s, metadata)
        return response

    async def status(
        self,
        name: str,
        version: int | None = None,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
    ) -> list[ModelVersion]:
        """Return the versions of a model, newest first. Raises ClientError."""
        return _versions(await self._call("status", _status_request(name, version), timeout_s, metadata))

    def _retire(self, channel: Any) -> None:
        task = asyncio.get_running_loop().create_task(channel.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _call(self, method: str, request: Any, timeout_s: float | None, metadata: Metadata) -> Any:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a channel belongs to the loop that opened it
            self._connections.take()
            self._loop = loop
        limit = time.monotonic() + (self.options.timeout_s if timeout_s is None else timeout_s)
        attempt = 0
        while True:
            with self._connections.use(self._retire) as connection:
                try:
                    return await getattr(connection, method)(
                        request,
                        timeout=max(limit - time.monotonic(), 0.001),
                        metadata=self._connections.metadata(metadata),
                    )
                except grpc.RpcError as error:
                    failed = _failure(error, self.target)
                    if failed.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                        self._connections.drop(connection)
                except grpc.aio.UsageError as error:  # closed meanwhile
                    raise ClientError(grpc.StatusCode.CANCELLED, str(error), self.target) from None
            pause_s = _pause_s(failed, self.options.retry, attempt, limit)
            if pause_s is None:
                raise failed
            attempt += 1
            await asyncio.sleep(pause_s)


def _close(channel: Any) -> None:
    channel.close()


def _pause_s(failed: ClientError, retry: Retry, attempt: int, limit: float) -> float | None:
    """Seconds to wait before another try; None if there is none."""
    if failed.code is not grpc.StatusCode.UNAVAILABLE or attempt + 1 >= retry.attempts:
        return None
    pause_s = retry.pause_s(attempt)
    return pause_s if time.monotonic() + pause_s < limit else None


def _failure(error: Any, target: str) -> ClientError:
    return ClientError(error.code(), error.details() or "no details", target)


def _prediction(response: protos.PredictResponse) -> Prediction:
    spec = response.model_spec
    arrays = {key: from_proto(proto) for key, proto in response.outputs.items()}
    return Prediction(arrays, spec.name, int(spec.version.value), spec.signature_name)


def _status_request(name: str, version: int | None) -> protos.GetModelStatusRequest:
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


def _fingerprint(tls: Tls | None) -> tuple[object, ...]:
    return tuple(_mark(path) for path in tls.files) if tls is not None else ()


def _mark(path: Path | None) -> object:
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found is not None else None


def _read(path: Path, target: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(path, error.strerror, target) from None
