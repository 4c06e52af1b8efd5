"""The HTTP side: REST API, health pages and metrics, on uvicorn's event loop with httptools' C parser."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
import uuid
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.api.rest import API, Reply, RestApi, error_reply
from serving.api.service import Caller
from serving.status import Code, ServingError, internal, invalid_argument, unavailable

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
]


@dataclass(frozen=True)
class HttpLimits:
    """What a client may ask of the HTTP side."""

    max_body_bytes: int = 256 << 20
    timeout_ms: int = 30_000
    header_timeout_seconds: float = 20.0
    max_connections: int = 2048
    max_inflight: int = 1024


@dataclass(frozen=True)
class Pages:
    """What the pages outside the API tell."""

    is_ready: Callable[[], bool]
    why_not: Callable[[], str]
    metrics: Callable[[], str]
    metrics_path: str | None = None


class _BodyTooLargeError(Exception):
    """More bytes than allowed."""


class App:
    """The ASGI application."""

    def __init__(
        self, api: RestApi, pages: Pages, limits: HttpLimits, *, threads: int = 0, cors: bool = False
    ) -> None:
        self._api = api
        self._pages = pages
        self._limits = limits
        self._cors = cors
        self._inflight = 0
        self._workers = ThreadPoolExecutor(
            max_workers=threads or limits.max_inflight + 8, thread_name_prefix="rest"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        # The raw path without its query: TF Serving decodes names only after it has taken the path apart.
        path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or scope["path"]
        method = scope["method"]
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"").decode("latin-1")[:128] or uuid.uuid4().hex
        try:
            reply = await self._reply(method, path, headers, request_id, scope, receive)
        except Exception as error:
            log.exception("request %s broke", request_id)
            reply = error_reply(internal(f"{type(error).__name__}: {error}"))
        if reply is None:
            return
        await self._send(reply, request_id, method, send)

    async def _reply(
        self,
        method: str,
        path: str,
        headers: Mapping[bytes, bytes],
        request_id: str,
        scope: Scope,
        receive: Receive,
    ) -> Reply | None:
        if path == "/healthz":
            return Reply(200, b"ok\n", "text/plain")
        if path == "/readyz":
            if self._pages.is_ready():
                return Reply(200, b"ready\n", "text/plain")
            return Reply(503, f"not ready: {self._pages.why_not()}\n".encode(), "text/plain")
        if path == self._pages.metrics_path:
            return Reply(200, self._pages.metrics().encode(), "text/plain")
        if not API.fullmatch(path):
            return Reply(404, b"", "text/html")
        if self._cors and method == "OPTIONS":
            return Reply(200, b"")
        if self._inflight >= self._limits.max_inflight:
            return error_reply(
                unavailable(f"{self._inflight} requests are under way, the most allowed at once")
            )
        self._inflight += 1
        try:
            token = headers.get(b"authorization", b"").decode("latin-1")
            caller = Caller(
                entrypoint="REST",
                peer=scope["client"][0] if scope.get("client") else "",
                request_id=request_id,
                token=token[7:] if token[:7].lower() == "bearer " else None,
            )
            # Before anything of a stranger's is kept, unzipped or parsed.
            self._api.authenticate(caller)
            body = await self._body(headers, receive)
            if body is None:
                return None
            if self._limits.timeout_ms > 0:
                caller = replace(caller, deadline=time.monotonic() + self._limits.timeout_ms / 1000)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._workers, self._api.handle, method, path, body, caller)
        except _BodyTooLargeError:
            message = f"The request body is larger than {self._limits.max_body_bytes} bytes"
            return error_reply(ServingError(Code.INVALID_ARGUMENT, message))
        except ServingError as error:
            return error_reply(error)
        finally:
            self._inflight -= 1

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body, unzipped where it is zipped; None where the client went away."""
        most = self._limits.max_body_bytes
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            raise _BodyTooLargeError
        encoding = headers.get(b"content-encoding", b"").lower()
        unzip = zlib.decompressobj(wbits=31) if encoding == b"gzip" else None
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            data: bytes = message.get("body", b"")
            if unzip is not None and data:
                try:
                    data = unzip.decompress(data, most - size + 1)
                except zlib.error as error:
                    raise invalid_argument(f"The request body is no valid gzip: {error}") from error
            size += len(data)
            if size > most:
                raise _BodyTooLargeError
            parts.append(data)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _send(self, reply: Reply, request_id: str, method: str, send: Send) -> None:
        headers = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
            (b"x-request-id", request_id.encode("latin-1", "replace")),
        ]
        if reply.retry_after_seconds is not None:
            headers.append((b"retry-after", str(max(1, round(reply.retry_after_seconds))).encode()))
        if self._cors:
            headers += _CORS
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})


def _protocol(limits: HttpLimits) -> type[HttpToolsProtocol]:
    """uvicorn's protocol that also closes clients which do not finish sending a request, and too many clients."""
    connected: set[object] = set()

    class Impatient(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            connected.add(self)
            if len(connected) > limits.max_connections:
                transport.abort()
                return
            self._expect()

        def connection_lost(self, exc: Exception | None) -> None:
            connected.discard(self)
            self._relax()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            self._expect()
            super().on_message_begin()

        def on_message_complete(self) -> None:
            self._relax()
            super().on_message_complete()

        def _expect(self) -> None:
            self._relax()
            self._timer = self.loop.call_later(limits.header_timeout_seconds, self._give_up)

        def _relax(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            if self.transport is not None and not self.transport.is_closing():
                self.transport.abort()

    return Impatient


class HttpServer:
    """uvicorn in a thread of its own."""

    def __init__(self, app: App, limits: HttpLimits, tls: Any = None) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=_protocol(limits),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            backlog=2048,
            timeout_keep_alive=75,
            proxy_headers=False,
        )
        config.load()
        if tls is not None:
            config.is_ssl  # noqa: B018 - a property of the file names; the context is set directly
            config.ssl = tls
        self._server = uvicorn.Server(config)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def listen(self, host: str, port: int) -> int:
        """Bind and return the port.

        Raises:
            ServingError: UNAVAILABLE where it cannot be bound.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            raise ServingError(Code.UNAVAILABLE, f"cannot listen on {host}:{port}: {error}") from error
        self._socket = sock
        return int(sock.getsockname()[1])

    def start(self, timeout: float = 10.0) -> None:
        """Take requests; returns once the server does."""
        sock = self._socket
        if sock is None:
            raise internal("listen() comes before start()")
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve(sockets=[sock])), name="http", daemon=True
        )
        self._thread.start()
        limit = time.monotonic() + timeout
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > limit:
                raise ServingError(Code.INTERNAL, "the HTTP server did not start")
            time.sleep(0.005)

    def stop(self, grace: float) -> None:
        """Take no more connections, finish what was begun, stop."""
        self._server.config.timeout_graceful_shutdown = int(grace)
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(grace + 2)
