"""One HTTP connection: h11 reads its requests, one after the other, each within a time.

h11 keeps the body of a request with an Upgrade header, which is ignored as TensorFlow Serving ignores it, and refuses
what could be read in two ways (two lengths, a length beside chunks).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from email.utils import formatdate
from functools import lru_cache
from http.client import responses
from typing import TYPE_CHECKING, Any

import h11
import numpy as np

from serving.api.json_worker import Body
from serving.api.rest import Reply, error_reply
from serving.operations.memory import Reservation
from serving.status import ServingError, internal, invalid_argument

if TYPE_CHECKING:
    from serving.api.http_server import App

log = logging.getLogger(__name__)

READ_BYTES = 256 << 10
_MAX_HEADER_BYTES = 64 << 10
_KEEP_ALIVE_SECONDS = 75.0
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 4 << 20
_CORS = [
    "Access-Control-Allow-Origin: *",
    "Access-Control-Allow-Methods: POST, GET",
    "Access-Control-Allow-Headers: Content-Type",
]


def too_large(most: int) -> ServingError:
    """INVALID_ARGUMENT for a body of more than `most` bytes."""
    return invalid_argument(f"The request body is larger than {most} bytes")


class ClientGoneError(Exception):
    """The client closed its side, or took too long."""


class Request:
    """One request's head, and its body when it is asked for."""

    def __init__(self, connection: Connection, event: h11.Request, peer: str) -> None:
        self._connection = connection
        self.method = event.method.decode("latin-1")
        # Without the query: TensorFlow Serving decodes names only after it has taken the path apart.
        self.path = event.target.decode("latin-1").partition("?")[0]
        self.headers: Mapping[bytes, bytes] = dict(event.headers)
        self.peer = peer
        self.id = self.headers.get(b"x-request-id", b"").decode("latin-1")[:128] or uuid.uuid4().hex
        options = self.headers.get(b"connection", b"").lower()
        self.is_old = event.http_version < b"1.1"
        self.keep_alive = b"keep-alive" in options if self.is_old else b"close" not in options

    async def body(self, memory: Reservation, most: int) -> Body:
        """Read the whole body."""
        length = int(self.headers.get(b"content-length", b"0"))
        if length > most:
            raise too_large(most)
        # Before it is sent: a body that does not fit is not waited for.
        memory.take(2 * length)
        if length > READ_BYTES:
            return await self._connection.fill(length)
        data = bytearray()
        async for piece in self._connection.pieces():
            if len(data) + len(piece) > most:
                raise too_large(most)
            if len(data) + len(piece) > length:
                memory.take(2 * len(piece))
            data += piece
        return data


class Connection(asyncio.BufferedProtocol):
    """One client: requests one after the other, each read within a time.

    A parser reads one request. h11 would end a connection of HTTP/1.0 after its first answer. What is read comes into
    a buffer that all connections share, a long body straight into its own memory: through h11 it would be copied
    five times, with the interpreter's lock held.
    """

    def __init__(self, app: App, connections: dict[Connection, asyncio.Task[None]]) -> None:
        self._app, self._connections = app, connections
        self._header_seconds = app.options.rest_api_header_timeout_in_ms / 1000
        self._parser = h11.Connection(h11.SERVER)
        self._changed, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._space = memoryview(b"")
        self._came = b""
        # What came after a body that was not read by the parser.
        self._rest: bytes | None = None
        self._is_ended = False
        self._deadline = 0.0
        self.is_idle = True

    def connection_made(self, transport: Any) -> None:
        """Begin to answer."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        if len(self._connections) >= self._app.options.rest_api_max_connections:
            self.abort()
            return
        transport.pause_reading()
        self._connections[self] = asyncio.get_running_loop().create_task(self._run())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        del sizehint
        return self._space or self._app.scratch

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        if self._space:
            self._space = self._space[nbytes:]
            if self._space:
                return
        else:
            self._came += bytes(self._app.scratch[:nbytes])
        self._transport.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        """Nothing more comes; the answer may still be wanted."""
        self._is_ended = True
        self._changed.set()
        return self._transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        del exc
        self._is_ended = True
        self._changed.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """The client is slow to read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has read."""
        self._writable.set()

    async def _run(self) -> None:
        try:
            await self._answer_all()
        except (ClientGoneError, ConnectionError):
            self.abort()
        finally:
            del self._connections[self]
            self._transport.close()

    async def _answer_all(self) -> None:
        """Answer until one side closes."""
        wait = self._header_seconds
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
                if not await self._respond(Request(self, event, self._peer)):
                    return
            except h11.RemoteProtocolError as error:
                text = f"Malformed request: {error}"
                reply = replace(error_reply(invalid_argument(text)), status=error.error_status_hint)
                await self._send(reply, uuid.uuid4().hex, "", keep_alive=False)
                return
            came = self._parser.trailing_data[0] if self._rest is None else self._rest
            self._rest = None
            wait = _KEEP_ALIVE_SECONDS

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    async def _head(self, wait: float) -> Any:
        """Read a request's head: its first byte may take `wait`, the whole request the limit after it."""
        self._deadline = time.monotonic() + wait
        if not self.is_idle:
            self._deadline = time.monotonic() + self._header_seconds
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            data = await self._read()
            if self.is_idle and data:
                self.is_idle = False
                self._deadline = time.monotonic() + self._header_seconds
            self._parser.receive_data(data)
        return event

    async def _read(self) -> bytes:
        """Return the next bytes, none at the end."""
        if not self._came and not self._is_ended:
            self._changed.clear()
            self._transport.resume_reading()
            try:
                async with asyncio.timeout(self._deadline - time.monotonic()):
                    await self._changed.wait()
            except TimeoutError as error:
                raise ClientGoneError from error
        data, self._came = self._came, b""
        return data

    def _continue(self) -> None:
        if self._parser.they_are_waiting_for_100_continue:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body's pieces as they come."""
        self._continue()
        while not isinstance(event := self._parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                self._parser.receive_data(await self._read())
            elif isinstance(event, h11.Data):
                yield event.data
            else:
                raise ClientGoneError

    async def fill(self, length: int) -> memoryview:
        """Read a body of so many bytes."""
        self._continue()
        # Not a bytearray, which would write zeros first.
        body = np.empty(length, np.uint8).data
        begun = self._parser.trailing_data[0]
        self._rest = begun[length:]
        body[: len(begun)] = begun[:length]
        self._space = body[len(begun) :]
        try:
            while self._space:
                await self._read()
                if self._is_ended and self._space:
                    raise ClientGoneError
        finally:
            self._space = memoryview(b"")
        return body

    async def _respond(self, request: Request) -> bool:
        """Answer one request; False if it was the last one of this connection."""
        try:
            if b"transfer-encoding" in request.headers and b"content-length" in request.headers:
                raise h11.RemoteProtocolError("a length beside chunks")
            reply = await self._app.reply(request)
        except (ClientGoneError, h11.RemoteProtocolError):
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
        if self._rest is not None:
            return True
        try:
            while self._parser.their_state is h11.SEND_BODY and left > 0:
                if self._parser.next_event() is h11.NEED_DATA:
                    data = await self._read()
                    left -= len(data)
                    self._parser.receive_data(data)
        except (ClientGoneError, h11.RemoteProtocolError):
            return False
        return self._parser.their_state is not h11.SEND_BODY

    async def _send(
        self, reply: Reply, request_id: str, method: str, *, keep_alive: bool, is_old: bool = False
    ) -> None:
        lines = [
            f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}",
            f"Date: {_date(int(time.time()))}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
            f"X-Request-Id: {_header_text(request_id)}",
        ]
        if reply.retry_after_seconds is not None:
            lines.append(f"Retry-After: {max(1, round(reply.retry_after_seconds))}")
        if self._app.options.rest_api_enable_cors_support:
            lines += _CORS
        if not keep_alive:
            lines.append("Connection: close")
        elif is_old:
            lines.append("Connection: keep-alive")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        if self._transport.is_closing():
            raise ClientGoneError
        self._transport.write(head if method == "HEAD" else head + reply.body)
        await self._writable.wait()


def _header_text(text: str) -> str:
    return "".join(c for c in text if " " < c < "\x7f")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    """The Date header, made once a second."""
    return formatdate(second, usegmt=True)
