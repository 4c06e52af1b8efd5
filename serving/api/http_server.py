"""The HTTP side: REST API, health pages and metrics. h11 reads and writes the protocol, asyncio the sockets.

h11 keeps the body of a request with an Upgrade header, which is ignored as TensorFlow Serving ignores it, and refuses
what could be read in two ways (two lengths, a length beside chunks).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import threading
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import formatdate
from http.client import responses
from typing import Any

import h11
import uvloop

from serving.api.rest import API, Reply, RestApi, error_reply
from serving.api.service import Caller
from serving.operations.memory import MemoryBudget, Reservation
from serving.status import Code, ServingError, failed_precondition, internal, invalid_argument, unavailable

log = logging.getLogger(__name__)

_CORS = [
    "Access-Control-Allow-Origin: *",
    "Access-Control-Allow-Methods: POST, GET",
    "Access-Control-Allow-Headers: Content-Type",
]
_READ_BYTES = 256 << 10
_MAX_HEADER_BYTES = 64 << 10
_KEEP_ALIVE_SECONDS = 75.0
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 4 << 20


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


class App:
    """Answers requests, however they were read."""

    def __init__(
        self,
        api: RestApi,
        pages: Pages,
        limits: HttpLimits,
        budget: MemoryBudget,
        *,
        threads: int = 0,
        cors: bool = False,
    ) -> None:
        self.limits = limits
        self.cors = cors
        self.budget = budget
        self.is_closing = False
        self._api = api
        self._pages = pages
        self._inflight = 0
        self._workers = ThreadPoolExecutor(
            max_workers=threads or limits.max_inflight + 8, thread_name_prefix="rest"
        )

    async def reply(self, request: _Request) -> Reply:
        """Answer one request."""
        path, method = request.path, request.method
        if path == "/healthz":
            return Reply(200, b"ok\n", "text/plain")
        if path == "/readyz":
            if self._pages.is_ready():
                return Reply(200, b"ready\n", "text/plain")
            return Reply(503, f"not ready: {self._pages.why_not()}\n".encode(), "text/plain")
        if path == self._pages.metrics_path:
            return Reply(200, self._pages.metrics().encode(), "text/plain")
        if method == "OPTIONS" and (self.cors or b"origin" in request.headers):
            return Reply(200, b"")
        if not API.fullmatch(path):
            return Reply(404, b"", "text/html")
        try:
            with self.budget.reserve() as memory:
                return await self._answer(request, memory)
        except ServingError as error:
            return error_reply(error)

    async def _answer(self, request: _Request, memory: Reservation) -> Reply:
        if self._inflight >= self.limits.max_inflight:
            raise unavailable(f"{self._inflight} requests are under way, the most allowed at once")
        self._inflight += 1
        try:
            token = request.headers.get(b"authorization", b"").decode("latin-1")
            caller = Caller(
                entrypoint="REST",
                peer=request.peer,
                request_id=request.id,
                token=token[7:] if token[:7].lower() == "bearer " else None,
            )
            # Before anything of a stranger's is kept, unzipped or parsed.
            self._api.authenticate(caller)
            body = await request.body(memory, self.limits.max_body_bytes)
            if self.limits.timeout_ms > 0:
                caller = replace(caller, deadline=time.monotonic() + self.limits.timeout_ms / 1000)
            # Whatever contains gzip is gzip, and only that is (http_server.cc).
            zipped = b"gzip" in request.headers.get(b"content-encoding", b"").lower()
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._workers, self._work, request.method, request.path, body, zipped, caller, memory
            )
        finally:
            self._inflight -= 1

    def _work(
        self,
        method: str,
        path: str,
        body: bytearray,
        zipped: bool,
        caller: Caller,
        memory: Reservation,
    ) -> Reply:
        if zipped:
            body = unzip(body, memory, self.limits.max_body_bytes)
        return self._api.handle(method, path, body, caller, memory)


def unzip(body: bytes | bytearray, memory: Reservation, most: int) -> bytearray:
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
                piece = member.decompress(data, _READ_BYTES)
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


def too_large(most: int) -> ServingError:
    """INVALID_ARGUMENT for a body of more than `most` bytes."""
    return invalid_argument(f"The request body is larger than {most} bytes")


class _ClientGoneError(Exception):
    """The client closed its side, or took too long."""


class _Request:
    """One request's head, and its body when it is asked for."""

    def __init__(self, connection: _Connection, event: h11.Request, peer: str) -> None:
        self._connection = connection
        self.method = event.method.decode("latin-1")
        # Without the query: TensorFlow Serving decodes names only after it has taken the path apart.
        self.path = event.target.decode("latin-1").partition("?")[0]
        self.headers: Mapping[bytes, bytes] = dict(event.headers)
        self.peer = peer
        self.id = self.headers.get(b"x-request-id", b"").decode("latin-1")[:128] or uuid.uuid4().hex
        options = self.headers.get(b"connection", b"").lower()
        old = event.http_version < b"1.1"
        self.is_old = old
        self.keep_alive = b"keep-alive" in options if old else b"close" not in options

    async def body(self, memory: Reservation, most: int) -> bytearray:
        """Read the whole body."""
        length = int(self.headers.get(b"content-length", b"0"))
        if length > most:
            raise too_large(most)
        # Before it is sent: a body that does not fit is not waited for.
        memory.take(2 * length)
        reserved = length
        data = bytearray()
        async for piece in self._connection.pieces():
            if len(data) + len(piece) > most:
                raise too_large(most)
            if len(data) + len(piece) > reserved:
                memory.take(2 * len(piece))
                reserved += len(piece)
            data += piece
        return data


class _Connection:
    """One client: requests one after the other, each read within a time.

    A parser reads one request. h11 would end a connection of HTTP/1.0 after its first answer.
    """

    def __init__(self, app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._app = app
        self._reader, self._writer = reader, writer
        self._parser = h11.Connection(h11.SERVER)
        peer = writer.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._deadline = 0.0
        self.is_idle = True

    async def run(self) -> None:
        """Answer until one side closes."""
        wait = self._app.limits.header_timeout_seconds
        came = b""
        while True:
            self.is_idle = not came
            self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEADER_BYTES)
            if came:
                self._parser.receive_data(came)
            try:
                event = await self._head(wait)
                if not isinstance(event, h11.Request):
                    return
                if not await self._respond(_Request(self, event, self._peer)):
                    return
            except h11.RemoteProtocolError as error:
                text = f"Malformed request: {error}"
                reply = replace(error_reply(invalid_argument(text)), status=error.error_status_hint)
                await self._send(reply, uuid.uuid4().hex, "", keep_alive=False)
                return
            came = self._parser.trailing_data[0]
            wait = _KEEP_ALIVE_SECONDS

    def abort(self) -> None:
        """Close at once."""
        self._writer.transport.abort()

    async def _head(self, wait: float) -> Any:
        """Read a request's head: its first byte may take `wait`, the whole request the limit after it."""
        self._deadline = time.monotonic() + wait
        if not self.is_idle:
            self._deadline = time.monotonic() + self._app.limits.header_timeout_seconds
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            data = await self._read()
            if self.is_idle and data:
                self.is_idle = False
                self._deadline = time.monotonic() + self._app.limits.header_timeout_seconds
            self._parser.receive_data(data)
        return event

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                return await self._reader.read(_READ_BYTES)
        except (TimeoutError, OSError) as error:
            raise _ClientGoneError from error

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body's pieces as they come."""
        if self._parser.they_are_waiting_for_100_continue:
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not isinstance(event := self._parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                self._parser.receive_data(await self._read())
            elif isinstance(event, h11.Data):
                yield event.data
            else:
                raise _ClientGoneError

    async def _respond(self, request: _Request) -> bool:
        """Answer one request; False if it was the last one of this connection."""
        try:
            if b"transfer-encoding" in request.headers and b"content-length" in request.headers:
                raise h11.RemoteProtocolError("a length beside chunks")
            reply = await self._app.reply(request)
        except (_ClientGoneError, h11.RemoteProtocolError):
            raise
        except Exception as error:
            log.exception("request %s broke", request.id)
            reply = error_reply(internal(f"{type(error).__name__}: {error}"))
        waits = self._parser.they_are_waiting_for_100_continue
        keep_alive = request.keep_alive and not self._app.is_closing and not waits
        await self._send(reply, request.id, request.method, keep_alive=keep_alive, is_old=request.is_old)
        return await self._skip_body() and keep_alive

    async def _skip_body(self) -> bool:
        """Read what is left of a refused body, for a while: closing on it would lose the answer."""
        self._deadline = time.monotonic() + _LINGER_SECONDS
        left = _LINGER_BYTES
        try:
            while self._parser.their_state is h11.SEND_BODY and left > 0:
                if self._parser.next_event() is h11.NEED_DATA:
                    data = await self._read()
                    left -= len(data)
                    self._parser.receive_data(data)
        except (_ClientGoneError, h11.RemoteProtocolError):
            return False
        return self._parser.their_state is not h11.SEND_BODY

    async def _send(
        self, reply: Reply, request_id: str, method: str, *, keep_alive: bool, is_old: bool = False
    ) -> None:
        lines = [
            f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}",
            f"Date: {_date()}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
            f"X-Request-Id: {_header_text(request_id)}",
        ]
        if reply.retry_after_seconds is not None:
            lines.append(f"Retry-After: {max(1, round(reply.retry_after_seconds))}")
        if self._app.cors:
            lines += _CORS
        if not keep_alive:
            lines.append("Connection: close")
        elif is_old:
            lines.append("Connection: keep-alive")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        self._writer.write(head if method == "HEAD" else head + reply.body)
        try:
            await self._writer.drain()
        except OSError as error:
            raise _ClientGoneError from error


def _header_text(text: str) -> str:
    return "".join(c for c in text if " " < c < "\x7f")


_dates: tuple[int, str] = (0, "")


def _date() -> str:
    """The Date header, made once a second."""
    global _dates
    now = int(time.time())
    if _dates[0] != now:
        _dates = (now, formatdate(now, usegmt=True))
    return _dates[1]


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
    """An event loop in a thread of its own."""

    def __init__(self, app: App, tls: ssl.SSLContext | None = None) -> None:
        self._app = app
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._connections: dict[_Connection, asyncio.Task[Any]] = {}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._grace = 0.0

    def listen(self, host: str, port: int) -> int:
        """Bind, and return the port.

        Raises:
            ServingError: FAILED_PRECONDITION if it cannot be bound.
        """
        self._sockets = bind(host, port)
        return int(self._sockets[0].getsockname()[1])

    def start(self, timeout: float = 10.0) -> None:
        """Take requests; returns once the server does."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="http", daemon=True)
        self._thread.start()
        if not started.wait(timeout):
            raise ServingError(Code.INTERNAL, "the HTTP server did not start")

    def _run(self, started: threading.Event) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        servers = [
            await asyncio.start_server(
                self._connected, sock=one, ssl=self._tls, backlog=2048, limit=2 * _READ_BYTES
            )
            for one in self._sockets
        ]
        started.set()
        await self._closing.wait()
        self._app.is_closing = True
        for server in servers:
            server.close()
        # Nobody is answered on an idle connection any more; the others end with their answer.
        for connection in list(self._connections):
            if connection.is_idle:
                connection.abort()
        if self._connections:
            await asyncio.wait(list(self._connections.values()), timeout=self._grace)
        for connection in list(self._connections):
            connection.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._app.limits.max_connections:
            writer.transport.abort()
            return
        connection = _Connection(self._app, reader, writer)
        task = asyncio.current_task()
        if task is None:
            return
        self._connections[connection] = task
        try:
            await connection.run()
        except (_ClientGoneError, ConnectionError):
            connection.abort()
        finally:
            del self._connections[connection]
            writer.close()

    def stop(self, grace: float) -> None:
        """Take no more connections, finish what was begun, stop."""
        loop, closing = self._loop, self._closing
        if loop is None or closing is None or self._thread is None:
            for one in self._sockets:
                one.close()
            return
        self._grace = grace
        loop.call_soon_threadsafe(closing.set)
        self._thread.join(grace + 2)
