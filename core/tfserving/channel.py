"""A gRPC channel to a model server: what it is made with, and when it is made again.

A channel is replaced after a deadline, because packets into a half-open one vanish for minutes, and when a certificate
file changed; calls under way end on the old one.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from core import telemetry
from core.files import mark_of
from core.protos.prediction_service_pb2_grpc import ModelServiceStub, PredictionServiceStub

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

    def marks(self) -> tuple[object, ...]:
        """Return what differs when one of the files was replaced."""
        return tuple(path and mark_of(path) for path in self.files)


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


class Channel:
    """A channel with its methods, how many calls are under way, and whether it was closed on them."""

    def __init__(self, channel: Any, files: tuple[object, ...]) -> None:
        self.channel = channel
        self.files = files
        self.calls = 0
        self.closed = False
        self.predict: Any = PredictionServiceStub(channel).Predict  # type: ignore[no-untyped-call]
        self.status: Any = ModelServiceStub(channel).GetModelStatus  # type: ignore[no-untyped-call]


class Channels:
    """The channel of a client; replaced after a deadline and when a file changed, closed when its calls ended."""

    def __init__(self, target: str, options: Options, module: Any) -> None:
        self.target = target
        self.options = options
        self._grpc = module
        self._lock = threading.Lock()
        self._current: Channel | None = None

    @contextmanager
    def use(self, ended: Callable[[Any], None]) -> Iterator[Channel]:
        """Lend the current connection; `ended` is given the channels that nobody uses any more."""
        with self._lock:
            files = self.options.tls.marks() if self.options.tls is not None else ()
            old = self._current
            if old is not None and old.files != files:
                self._current = None
            if self._current is None:
                self._current = Channel(self._connect(), files)
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

    def drop(self, connection: Channel) -> None:
        """Let the next call open a new connection."""
        with self._lock:
            if self._current is connection:
                self._current = None

    def take(self) -> Any:
        """Return the current channel, to close it; None if there is none."""
        with self._lock:
            current, self._current = self._current, None
            if current is None:
                return None
            current.closed = True
            return current.channel

    def metadata(self, extra: Metadata) -> tuple[tuple[str, str], ...]:
        """Return a call's metadata with the bearer token and the trace it belongs to."""
        extra = (*extra, *telemetry.headers().items())
        token = self.options.token
        if isinstance(token, Path):
            token = _read(token, self.target).decode("utf-8", "replace").strip()
        return (*extra, ("authorization", f"Bearer {token}")) if token else extra

    def _close_unused(self, connection: Channel, ended: Callable[[Any], None]) -> None:
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


def _read(path: Path, target: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(path, error.strerror, target) from None
