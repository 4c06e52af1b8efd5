"""Who may call a route: the dependencies every route is behind."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from dashboard.faults import FaultError
from dashboard.security.roles import Bearer, Person, Role, Scope
from dashboard.security.secret import digest
from dashboard.services import Services, Using

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_USE = "csrf"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"


def cookie(using: Services, name: str = "session") -> str:
    """A cookie's name; with TLS the browser itself ties `__Host-` cookies to this host.

    Browsers keep cookies by host and not by port: the name tells one dashboard from another.
    """
    prefix = "__Host-" if using.settings.secure else ""
    return f"{prefix}melanosizer-{name}-{using.secret.sign('cookie', 'name')[:8]}"


def set_cookie(answer: Response, using: Services, name: str, value: str, seconds: float) -> None:
    """Give a browser a cookie that no script reads; no seconds take it back."""
    answer.set_cookie(
        name,
        value,
        max_age=int(seconds),
        path="/",
        secure=using.settings.secure,
        httponly=True,
        samesite="lax",
    )


def base_url(request: Request, using: Services) -> str:
    """Return the address that people type, without a slash at its end."""
    return using.settings.public_url or str(request.base_url).rstrip("/")


def address(request: Request) -> str:
    """The caller's address, as a trusted proxy tells it."""
    direct = request.client.host if request.client else "unknown"
    settings = request.app.state.services.settings
    if trusted(direct, settings.trusted_proxies):
        chain = [
            part.strip() for part in request.headers.get("x-forwarded-for", "").split(",") if part.strip()
        ]
        # From the right: what the nearest proxies added is true, what the caller wrote is not.
        for hop in reversed(chain):
            if not trusted(hop, settings.trusted_proxies):
                return hop
    return direct


def trusted(host: str, proxies: Iterable[IPv4Network | IPv6Network]) -> bool:
    """True where an address belongs to a proxy whose word counts."""
    try:
        known = ip_address(host)
    except ValueError:
        return False
    return any(known in proxy for proxy in proxies)


def wants_json(request: Request) -> bool:
    """True when the answer should be JSON: `?format=json`, or an Accept that names JSON before HTML."""
    if request.query_params.get("format") == "json":
        return True
    accept = request.headers.get("accept", "")
    html, json = accept.find("text/html"), accept.find("application/json")
    return json >= 0 and (html < 0 or json < html)


def _csrf_subject(request: Request, using: Services) -> str:
    person: Person | None = getattr(request.state, "person", None)
    return person.session if person else digest(request.cookies.get(cookie(using, "visitor"), ""))


def csrf_token(request: Request, using: Services) -> str:
    """What a form of this browser has to send back."""
    return using.secret.sign(CSRF_USE, _csrf_subject(request, using))


async def check_csrf(request: Request, using: Services) -> None:
    """Raises FaultError 403 where a changing request did not come from a page of ours."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise FaultError(403, "the request came from another site")
    sent = request.headers.get(CSRF_HEADER, "")
    kind = request.headers.get("content-type", "")
    if not sent and kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        form = await request.form()
        value = form.get(CSRF_FIELD)
        sent = value if isinstance(value, str) else ""
    if not sent or not using.secret.verify(CSRF_USE, _csrf_subject(request, using), sent):
        raise FaultError(403, "the form is out of date: go back, reload the page, and send it again")


def _limited(rate_wait: float) -> None:
    if rate_wait > 0:
        raise FaultError(429, "too many requests; slow down", {"Retry-After": str(math.ceil(rate_wait))})


def known_person(request: Request, using: Services) -> Person | None:
    """Who is signed in with this browser, if anybody."""
    token = request.cookies.get(cookie(using))
    person = using.sessions.person(token) if token else None
    request.state.person = person
    return person


def _sign_in_first(request: Request) -> FaultError:
    if wants_json(request) or request.url.path.startswith("/api/"):
        return FaultError(401, "sign in first, at /sign-in", {"WWW-Authenticate": "Bearer"})
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method != "GET":
        # What a form sends cannot be asked for again: back to the page it stood on, which gives back what was typed.
        came = urlsplit(request.headers.get("referer", ""))
        target = came.path if came.netloc == request.headers.get("host") else "/"
    place = f"/sign-in?next={quote(target)}" if target not in ("", "/") else "/sign-in"
    if request.headers.get("hx-request"):
        return FaultError(401, "the session has ended", {"HX-Redirect": "/sign-in"})
    return FaultError(303, "sign in first", {"Location": place})


def require(role: Role) -> Callable[[Request, Services], Awaitable[Person]]:
    """A dependency: somebody who is signed in and has this role; changing requests carry the CSRF token."""

    async def person(request: Request, using: Using) -> Person:
        # Before anything is read: what changes from now on, the page has not seen.
        request.state.pulse = using.pulse.count
        found = await run_in_threadpool(known_person, request, using)
        _limited(using.people_rate.take(f"person:{found.id}" if found else f"address:{address(request)}"))
        if found is None:
            raise _sign_in_first(request)
        if request.method not in SAFE:
            await check_csrf(request, using)
        if not found.may(role):
            raise FaultError(403, f"this needs the role {role}; {found.name} is {found.role}")
        return found

    return person


def bearer(scope: Scope) -> Callable[[Request, Services], Awaitable[Bearer]]:
    """A dependency: a token with this scope. People's cookies do not count."""

    async def found(request: Request, using: Using) -> Bearer:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        known = using.tokens.remembered(token)
        if known is None and kind.lower() == "bearer" and token:
            known = await run_in_threadpool(using.tokens.bearer, token)
        if known is None or kind.lower() != "bearer":
            _limited(using.people_rate.take(f"address:{address(request)}"))
            text = "send `Authorization: Bearer TOKEN` with a token that is valid"
            raise FaultError(401, text, {"WWW-Authenticate": "Bearer"})
        _limited(using.token_rate.take(f"token:{known.token_id}"))
        if scope not in known.scopes:
            raise FaultError(403, f"this token may {', '.join(sorted(known.scopes))}, not {scope}")
        return known

    return found


def either(role: Role, scope: Scope) -> Callable[[Request, Services], Awaitable[Person | Bearer]]:
    """A dependency: a token with this scope, or a person with this role."""
    person, token = require(role), bearer(scope)

    async def caller(request: Request, using: Using) -> Person | Bearer:
        return await (token if "authorization" in request.headers else person)(request, using)

    return caller


Viewer = Annotated[Person, Depends(require("viewer"))]
Reviewer = Annotated[Person, Depends(require("reviewer"))]
Approver = Annotated[Person, Depends(require("approver"))]
Admin = Annotated[Person, Depends(require("admin"))]
