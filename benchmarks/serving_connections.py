"""Connections that ask a server over and over, cheaply: what a caller costs is taken from the same cores.

One thread drives all of them. A client of grpc's costs 0.25 to 0.6 ms of processor a request and http.client about as
much, these a tenth of a millisecond; the bytes on the wire are the same kind, requests are put together beforehand and
no answer is read further than to its status.
"""

from __future__ import annotations

import heapq
import random
import selectors
import socket
import time
from collections.abc import Sequence
from typing import Protocol

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_LARGEST_FRAME = 16384
_FIRST_WINDOW = 65535
_PATIENCE = 60.0


class Connection(Protocol):
    """One caller, with one request at a time."""

    socket: socket.socket

    def ask(self) -> None:
        """Send the next request."""

    def read(self) -> bool:
        """Take what has come; True once the answer is whole, an error if it is not the one wished for."""


def _connect(target: str) -> socket.socket:
    host, _, port = target.rpartition(":")
    connected = socket.create_connection((host, int(port)), timeout=_PATIENCE)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


class GrpcConnection:
    """Unary calls of one method over HTTP/2 (RFC 9113), its header block written out (RFC 7541)."""

    def __init__(self, target: str, method: str, messages: Sequence[bytes]) -> None:
        self._messages = [b"\0" + len(one).to_bytes(4, "big") + one for one in messages]
        if (largest := max(map(len, self._messages))) > _FIRST_WINDOW:
            # More than a stream takes before the server widens its window, which is not waited for here.
            raise SystemExit(
                f"a request of {largest} bytes; at most {_FIRST_WINDOW} can be sent: take smaller images"
            )
        self.socket = _connect(target)
        # :method POST, :scheme http, then literals: :path, :authority, content-type, te.
        self._headers = b"\x83\x86" + b"".join(
            name + bytes([len(value)]) + value
            for name, value in (
                (b"\x04", method.encode()), (b"\x01", target.encode()), (b"\x0f\x10", b"application/grpc"),
                (b"\x00\x02te", b"trailers"),
            )
        )  # fmt: skip
        self._stream = -1
        self._window = _FIRST_WINDOW
        self._waiting = b""
        self._received = b""
        # No table of headers, so that a status comes as text; and any number of answers.
        self.socket.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"\0\1\0\0\0\0")
            + _frame(_WINDOW_UPDATE, 0, 0, (2**31 - 1 - _FIRST_WINDOW).to_bytes(4, "big"))
        )

    def ask(self) -> None:
        """Send the next request, or keep it until the server has room."""
        self._stream += 2
        self._waiting = random.choice(self._messages)
        self._send()

    def _send(self) -> None:
        message = self._waiting
        if not message or len(message) > self._window:
            return
        self._waiting = b""
        self._window -= len(message)
        frames = [_frame(_HEADERS, _END_HEADERS, self._stream, self._headers)]
        for at in range(0, len(message), _LARGEST_FRAME):
            last = at + _LARGEST_FRAME >= len(message)
            piece = message[at : at + _LARGEST_FRAME]
            frames.append(_frame(_DATA, _END_STREAM if last else 0, self._stream, piece))
        self.socket.sendall(b"".join(frames))

    def read(self) -> bool:
        """Take frames; the trailers end the answer."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server has closed the connection")
        data = self._received + data
        at, whole = 0, False
        while len(data) - at >= 9 and len(data) - at >= 9 + (
            size := int.from_bytes(data[at : at + 3], "big")
        ):
            kind, flags, payload = data[at + 3], data[at + 4], data[at + 9 : at + 9 + size]
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            at += 9 + size
            if kind in (_SETTINGS, _PING) and not flags & _ACK:
                self.socket.sendall(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
            elif kind == _WINDOW_UPDATE and stream == 0:
                self._window += int.from_bytes(payload, "big")
                self._send()
            elif kind in (_RST_STREAM, _GOAWAY):
                raise ConnectionError(f"the server ended the call: {payload!r}")
            elif kind == _HEADERS and flags & _END_STREAM:
                if b"grpc-status\x010" not in payload:
                    raise RuntimeError(f"not OK: {payload!r}")
                whole = True
        self._received = data[at:]
        return whole


class HttpConnection:
    """POST requests over a kept HTTP/1.1 connection."""

    def __init__(self, target: str, path: str, bodies: Sequence[bytes], content_type: str) -> None:
        self.socket = _connect(target)
        head = f"POST {path} HTTP/1.1\r\nHost: {target}\r\nContent-Type: {content_type}\r\nContent-Length: "
        self._requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
        self._received = b""

    def ask(self) -> None:
        """Send the next request."""
        self.socket.sendall(random.choice(self._requests))

    def read(self) -> bool:
        """Take bytes; the header says how many there are."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server has closed the connection")
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return False
        fields = {
            name.lower(): value for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
        }
        if len(body) < int(fields[b"content-length"]):
            return False
        self._received = b""
        if b" 200 " not in head[:16]:
            raise RuntimeError(f"{head[:40]!r}: {body[:200]!r}")
        return True


Rows = list[tuple[float, float]]


def ask_all(connections: Sequence[Connection], end: float, rate: float = 0.0) -> tuple[Rows, list[str]]:
    """Ask until `end`, each caller as soon as it has its answer, or all of them `rate` times a second together.

    Returns:
        Start and latency of each answer in seconds, and the errors, of which each ends its caller.
    """
    rows: Rows = []
    errors: dict[int, str] = {}
    asked: dict[int, tuple[float, float]] = {}  # when it was due and when it was sent
    spread = len(connections) / rate if rate else 0.0
    due = [(time.time() + random.uniform(0, spread), number) for number in range(len(connections))]
    heapq.heapify(due)
    with selectors.DefaultSelector() as selector:

        def give_up(number: int, error: Exception) -> None:
            errors[number] = f"{type(error).__name__}: {error}"[:200]
            selector.unregister(connections[number].socket)
            asked.pop(number, None)

        for number, one in enumerate(connections):
            selector.register(one.socket, selectors.EVENT_READ, number)
        while (now := time.time()) < end or asked:
            while now < end and due and due[0][0] <= now:
                at, number = heapq.heappop(due)
                if number in errors:  # its server closed the connection between two requests
                    continue
                asked[number] = at, time.time()
                try:
                    connections[number].ask()
                except OSError as error:
                    give_up(number, error)
            if len(errors) == len(connections):
                break
            until = min(due[0][0], end) - now if due and now < end else _PATIENCE
            ready = selector.select(max(0.0, until))
            if not ready and until == _PATIENCE:
                raise SystemExit(f"no answer within {_PATIENCE:g} s to {len(asked)} requests")
            for key, _ in ready:
                number = key.data
                try:
                    if not connections[number].read():
                        continue
                except (OSError, RuntimeError) as error:
                    give_up(number, error)
                    continue
                at, sent = asked.pop(number)
                now = time.time()
                rows.append((sent, now - sent))
                heapq.heappush(due, (at + random.expovariate(1 / spread) if rate else now, number))
    return rows, list(errors.values())
