"""What every answer carries and every request must keep to."""

from __future__ import annotations

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.counters import REQUESTS, SECONDS

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# For what the pipeline or a user made: nothing in it may run, send or load.
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
# Prometheus asks a pod by its address, which nobody knows beforehand; it needs a token all the same.
BY_ADDRESS = frozenset({"/metrics"})
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class HeadMiddleware:
    """Answers HEAD as GET without the body; the event stream never ends and is left out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] == "/events":
            await self._app(scope, receive, send)
            return

        async def headers_only(message: Message) -> None:
            if message["type"] == "http.response.body":
                if message.get("more_body"):
                    return
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, headers_only)


class MetricsMiddleware:
    """Counts and times every answer; the time to its first byte stands in Server-Timing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                spent = time.perf_counter() - begun
                REQUESTS.labels(route, scope["method"], str(message["status"])).inc()
                SECONDS.labels(route).observe(spent)
                MutableHeaders(scope=message)["Server-Timing"] = f"total;dur={spent * 1000:.1f}"
            await send(message)

        await self._app(scope, receive, timed)


class SecurityHeadersMiddleware:
    """Adds security headers, refuses foreign Host headers and bodies that are too large."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], secure: bool, max_body: int) -> None:
        self._app = app
        self._hosts = hosts
        self._secure = secure
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._mark(MutableHeaders(scope=message), scope["path"])
            await send(message)

        async def refuse(status: int, error: str) -> None:
            await JSONResponse({"error": error, "status": status}, status)(scope, receive, shielded)

        too_large = f"the request is larger than {self._max_body} bytes"
        host = headers.get("host", "").rsplit("@", 1)[-1]
        name = host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]
        foreign = "*" not in self._hosts and name.lower() not in self._hosts
        if foreign and scope["path"] not in BY_ADDRESS:
            # A page of another site whose name was pointed at this address (DNS rebinding) ends here.
            await refuse(421, f"host {name[:80]!r} is not served here")
            return
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            # No name, version or search holds one, and PostgreSQL stores none.
            await refuse(400, "the address holds a NUL character")
            return
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_body:
            await refuse(413, too_large)
            return
        taken = 0
        started = False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > self._max_body:
                    raise BodyTooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await shielded(message)

        try:
            await self._app(scope, counted, watched)
        except BodyTooLargeError:
            if not started:
                await refuse(413, too_large)

    def _mark(self, headers: MutableHeaders, path: str) -> None:
        for key, value in HEADERS.items():
            headers.setdefault(key, value)
        headers.setdefault("Content-Security-Policy", POLICY)
        if self._secure:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        headers.setdefault(
            "Cache-Control",
            "public, max-age=31536000, immutable" if path.startswith("/static/") else "no-store",
        )


class BodyTooLargeError(Exception):
    """A body without a length went on past the limit."""
