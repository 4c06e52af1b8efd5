"""The HTTP side: REST API, health pages and metrics. h11 reads and writes the protocol, asyncio the sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import uvloop

from core.telemetry import TRACEPARENT
from serving.api.http_connection import READ_BYTES, Connection, Request, too_large
from serving.api.json_worker import Body
from serving.api.rest import API, Reply, RestApi, error_reply
from serving.operations.limits import Caller
from serving.operations.memory import Reservation
from serving.status import ServingError, failed_precondition, invalid_argument, unavailable

_START_SECONDS = 10.0


class App:
    """Answers requests, however they were read."""

    def __init__(self, api: RestApi, why_not_ready: Callable[[], str], metrics_path: str | None) -> None:
        """`why_not_ready` is asked for /readyz; metrics are at `metrics_path`, if anywhere."""
        self.options = options = api.service.options
        self.is_closing = False
        self.scratch = memoryview(bytearray(READ_BYTES))
        self._api = api
        self._why_not_ready, self._metrics_path = why_not_ready, metrics_path
        self._inflight = 0
        self._workers = ThreadPoolExecutor(
            max_workers=options.rest_api_num_threads or options.max_inflight_requests + 8,
            thread_name_prefix="rest",
        )

    async def reply(self, request: Request) -> Reply:
        """Answer one request."""
        path, method = request.path, request.method
        if path == "/healthz":
            return Reply(200, b"ok\n", "text/plain")
        if path == "/readyz":
            if why_not := self._why_not_ready():
                return Reply(503, f"not ready: {why_not}\n".encode(), "text/plain")
            return Reply(200, b"ready\n", "text/plain")
        if path == self._metrics_path:
            return Reply(200, self._api.service.metrics.page().encode(), "text/plain")
        if method == "OPTIONS" and (
            self.options.rest_api_enable_cors_support or b"origin" in request.headers
        ):
            return Reply(200, b"")
        if not API.fullmatch(path):
            return Reply(404, b"", "text/html")
        try:
            with Reservation(self._api.service.budget) as memory:
                return await self._answer(request, memory)
        except ServingError as error:
            return error_reply(error)

    async def _answer(self, request: Request, memory: Reservation) -> Reply:
        if self._inflight >= self.options.max_inflight_requests:
            raise unavailable(f"{self._inflight} requests are under way, the most allowed at once")
        self._inflight += 1
        try:
            caller = Caller(
                entrypoint="REST",
                peer=request.peer,
                request_id=request.id,
                authorization=request.headers.get(b"authorization", b"").decode("latin-1"),
                traceparent=request.headers.get(TRACEPARENT.encode(), b"").decode("latin-1"),
            )
            # Before anything of a stranger's is kept, unzipped or parsed.
            self._api.service.gate.authenticate(caller)
            body = await request.body(memory, self.options.rest_api_max_body_bytes)
            timeout_ms = self.options.rest_api_timeout_in_ms
            if timeout_ms > 0:
                caller = replace(caller, deadline=time.monotonic() + timeout_ms / 1000)
            # Whatever contains gzip is gzip, and only that is (http_server.cc).
            zipped = b"gzip" in request.headers.get(b"content-encoding", b"").lower()

            def work() -> Reply:
                text = unzip(body, memory, self.options.rest_api_max_body_bytes) if zipped else body
                return self._api.handle(request.method, request.path, text, caller, memory)

            return await asyncio.get_running_loop().run_in_executor(self._workers, work)
        finally:
            self._inflight -= 1


def unzip(body: Body, memory: Reservation, most: int) -> bytearray:
    """Unzip all members of a gzip body.

    Raises:
        ServingError: INVALID_ARGUMENT for what is not gzip, ends before its trailer, or is larger than `most`.
    """
    out = bytearray()
    rest = bytes(body)
    while True:
        member = zlib.decompressobj(wbits=31)
        data = rest
        while not member.eof:
            try:
                piece = member.decompress(data, READ_BYTES)
            except zlib.error as error:
                raise invalid_argument(f"The request body is not valid gzip: {error}") from error
            if not piece and not member.eof:
                raise invalid_argument("The request body is not valid gzip: it ends before its trailer")
            if len(out) + len(piece) > most:
                raise too_large(most)
            # Twice: growing copies what there is.
            memory.take(2 * len(piece))
            out += piece
            data = member.unconsumed_tail
        rest = member.unused_data
        if not rest:
            return out


def bind(host: str, port: int) -> list[socket.socket]:
    """Bind every address of a host, IPv4 and IPv6; an empty host means all there are.

    Args:
        host: A name or an address.
        port: The port; below 1 any free one, the same for all addresses.

    Raises:
        ServingError: FAILED_PRECONDITION if the port is in use or the host is not this machine's.
    """
    sockets: list[socket.socket] = []
    skipped: OSError | None = None
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in sorted(found, key=lambda one: one[0]):
            taken = sockets[0].getsockname()[1] if sockets else max(0, port)
            try:
                # With the protocol: asyncio sets TCP_NODELAY only on a socket that says it is TCP.
                one = socket.socket(family, kind, protocol)
                sockets.append(one)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind((address[0], taken, *address[2:]))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                # The name is known, the family switched off.
                skipped = error
                if sockets and sockets[-1].family == family:
                    sockets.pop().close()
        if not sockets:
            raise skipped or OSError(f"{host} has no address")
    except OSError as error:
        for one in sockets:
            one.close()
        reason = error.strerror or error
        raise failed_precondition(f"cannot listen on {host or '*'}:{port}: {reason}") from error
    return sockets


class HttpServer:
    """An event loop in a thread of its own.

    Attributes:
        port: The port it listens on.
    """

    def __init__(self, app: App, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Bind, and take requests.

        Raises:
            ServingError: FAILED_PRECONDITION if it cannot be bound.
        """
        self._app, self._tls = app, tls
        self._connections: dict[Connection, asyncio.Task[Any]] = {}
        sockets = bind(host, port)
        self.port = int(sockets[0].getsockname()[1])
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()
        begun = asyncio.run_coroutine_threadsafe(self._listen(sockets), self._loop)
        self._servers = begun.result(_START_SECONDS)

    def _run(self) -> None:
        with self._runner:
            self._loop.run_forever()

    async def _listen(self, sockets: list[socket.socket]) -> list[asyncio.Server]:
        return [
            await self._loop.create_server(
                lambda: Connection(self._app, self._connections), sock=one, ssl=self._tls, backlog=2048
            )
            for one in sockets
        ]

    def stop(self, grace: float) -> None:
        """Take no more connections, finish what was begun, stop."""
        ended = asyncio.run_coroutine_threadsafe(self._end(grace), self._loop)
        ended.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))
        self._thread.join(grace + 2)

    async def _end(self, grace: float) -> None:
        self._app.is_closing = True
        for server in self._servers:
            server.close()
        # Nobody is answered on an idle connection any more; the others end with their answer.
        for connection in list(self._connections):
            if connection.is_idle:
                connection.abort()
        if self._connections:
            await asyncio.wait(list(self._connections.values()), timeout=grace)
        for connection in list(self._connections):
            connection.abort()
