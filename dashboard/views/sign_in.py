"""Signing in: by password, by a one-time link, by an OpenID provider; and one's own account."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from dashboard import clock
from dashboard.access import Viewer, address, check_csrf, cookie, set_cookie
from dashboard.database.tables import User
from dashboard.faults import FaultError, invalid
from dashboard.page import ANSWERS, CHANGE, DONE, Page, respond
from dashboard.security.oidc import Provider
from dashboard.security.passwords import WeakPasswordError
from dashboard.security.roles import Person
from dashboard.security.secret import digest
from dashboard.services import Services, Using
from dashboard.views.forms import FormData, InForm, go, inside

router = APIRouter(tags=["sign-in"])

# The only routes that need nobody to be signed in; a test compares with all others.
OPEN = frozenset(
    {"/sign-in", "/sign-in/link", "/sign-in/oidc", "/sign-in/oidc/callback", "/healthz", "/readyz"}
    | {"/static", "/api/v1/devices/enroll"}
)


class SignInPage(Page):
    """The sign-in page."""

    next: str
    trouble: str
    oidc: bool = Field(description="there is an OpenID provider")


class LinkPage(Page):
    """A one-time link, before it is used: a preview in a mail program must not use it up."""

    token: str


class AccountPage(Page):
    """One's own account."""

    name: str
    role: str
    has_password: bool
    local: bool
    trouble: str
    min_length: int
    time_zone: str
    time_zones: tuple[str, ...]
    now: int


class SignInForm(FormData):
    """Name and password."""

    name: str = Field(min_length=1, max_length=120)
    password: str = Field(min_length=1, max_length=1024)
    next: str = Field("/runs", max_length=2000)


class LinkForm(FormData):
    """A one-time link's token."""

    token: str = Field(min_length=10, max_length=200)


class SignOutPage(Page):
    """The way on to the provider, whose session is to end as well."""

    provider: str


class TimeZoneForm(FormData):
    """A time zone."""

    time_zone: str = Field(max_length=64, description="an IANA name, e.g. Europe/Berlin")


class PasswordForm(FormData):
    """A new password."""

    current: str = Field("", max_length=1024)
    password: str = Field(min_length=1, max_length=1024)
    again: str = Field(min_length=1, max_length=1024)


@router.get("/sign-in", response_model=SignInPage, responses=ANSWERS)
def sign_in_page(
    request: Request, using: Using, next: Annotated[str, Query(max_length=2000)] = "/runs"
) -> Response:
    """The sign-in page."""
    return _sign_in_page(request, using, inside(next), "")


async def _of_visitor(request: Request, using: Using) -> None:
    """A dependency: a form of ours, sent by somebody who is not signed in."""
    request.state.person = None
    await check_csrf(request, using)


@router.post("/sign-in", dependencies=[Depends(_of_visitor)], **CHANGE)
def sign_in(request: Request, using: Using, form: InForm[SignInForm]) -> Response:
    """Sign in with name and password."""
    place = address(request)
    wait = using.guard.wait(form.name, place)
    if wait:
        trouble = f"Too many wrong passwords. Try again in {-(-wait // 60)} min."
        answer = _sign_in_page(request, using, inside(form.next), trouble, 429)
        answer.headers["Retry-After"] = str(wait)
        return answer
    user = using.accounts.check(form.name, form.password)
    if user is None:
        using.guard.failed(form.name, place)
        with using.database.write() as session:
            using.audit.add(session, "nobody", "sign-in.fail", form.name[:120], address=place)
        return _sign_in_page(request, using, inside(form.next), "Name or password is wrong.", 401)
    using.guard.succeeded(form.name)
    return _begin(request, using, user.id, user.name, inside(form.next))


@router.get("/sign-in/link", response_model=LinkPage, responses=ANSWERS)
def link(
    request: Request, using: Using, token: Annotated[str, Query(min_length=10, max_length=200)]
) -> Response:
    """Ask before a one-time link is used."""
    return _to_visitor(request, using, "link.html", LinkPage(title="Sign in", token=token))


@router.post("/sign-in/link", dependencies=[Depends(_of_visitor)], **CHANGE)
def use_link(request: Request, using: Using, form: InForm[LinkForm]) -> Response:
    """Sign in with a one-time link."""
    place = address(request)
    if using.guard.wait("one-time link", place):
        raise FaultError(429, "too many tries; wait a while")
    user_id = using.sessions.use_link(form.token)
    if user_id is None:
        using.guard.failed(f"one-time link from {place}", place)
        raise FaultError(
            403,
            "this link was used already, or is too old: start the dashboard again, or ask an administrator",
        )
    with using.database.read() as session:
        user = session.get_one(User, user_id)
    return _begin(request, using, user.id, user.name, "/account" if user.password is None else "/runs")


@router.post("/sign-out", response_model=None, responses={**DONE, 200: ANSWERS[200]})
async def sign_out(request: Request, using: Using, person: Viewer) -> Response:
    """End this session, and the one at the provider where the person came from there."""
    id_token = await run_in_threadpool(using.sessions.end, person.session)
    place = None
    if id_token and request.app.state.provider is not None:
        place = await _provider(request).sign_out(request, id_token)
    answer: Response = go("/sign-in")
    if place is not None:
        # A page and not a redirect: the policy lets no form lead to another site, not even over one of ours.
        request.state.person = None
        answer = respond(request, using, "sign_out.html", SignOutPage(title="Signed out", provider=place))
    set_cookie(answer, using, cookie(using), "", 0)
    return answer


@router.get("/account", response_model=AccountPage, responses=ANSWERS)
def account(request: Request, using: Using, person: Viewer) -> Response:
    """One's own account."""
    return _account(request, using, person, "")


@router.post("/account/password", **CHANGE)
def password(request: Request, using: Using, person: Viewer, form: InForm[PasswordForm]) -> Response:
    """Choose a password; every other session of this person ends."""
    user = using.accounts.named(person.name)
    if user is None or user.subject is not None:
        raise invalid("this account signs in at the provider and has no password here")
    if user.password is not None and using.accounts.check(person.name, form.current) is None:
        using.guard.failed(person.name, address(request))
        return _account(request, using, person, "The current password is wrong.", 422)
    if form.password != form.again:
        return _account(request, using, person, "The two new passwords differ.", 422)
    try:
        using.accounts.set_password(person.id, form.password, keep=person.session)
    except WeakPasswordError as error:
        return _account(request, using, person, f"The new password is {error}.", 422)
    return go("/runs")


@router.post("/account/time-zone", **CHANGE)
def time_zone(using: Using, person: Viewer, form: InForm[TimeZoneForm]) -> RedirectResponse:
    """Choose the time zone that every page is shown in to this person."""
    if form.time_zone not in clock.zones():
        raise invalid(f"time_zone: {form.time_zone!r} is not known; e.g. UTC or Europe/Berlin")
    with using.database.write() as session:
        session.get_one(User, person.id).time_zone = form.time_zone
    return go("/account")


@router.get(
    "/sign-in/oidc", responses={**DONE, 404: ANSWERS[404]}, status_code=303, response_class=RedirectResponse
)
async def provider(request: Request, next: Annotated[str, Query(max_length=2000)] = "/runs") -> Response:
    """Go to the OpenID provider, and afterwards to the page that was asked for."""
    return await _provider(request).redirect(request, inside(next))


@router.get("/sign-in/oidc/callback", **CHANGE)
async def callback(request: Request, using: Using) -> Response:
    """Come back from it."""
    user, place, id_token = await _provider(request).arrive(request)
    return await run_in_threadpool(_begin, request, using, user.id, user.name, inside(place), id_token)


def _provider(request: Request) -> Provider:
    found: Provider | None = request.app.state.provider
    if found is None:
        raise FaultError(404, "no OpenID provider is configured")
    return found


def _begin(
    request: Request, using: Services, user_id: int, name: str, place: str, id_token: str = ""
) -> Response:
    """A new session under a new name: whoever knew the old cookie knows nothing."""
    old = request.cookies.get(cookie(using))
    if old:
        using.sessions.end(digest(old))
    token = using.sessions.begin(user_id, id_token)
    with using.database.write() as session:
        using.audit.add(session, name, "sign-in", name, address=address(request))
    answer = go(place)
    set_cookie(answer, using, cookie(using), token, using.settings.session_hours * 3600)
    set_cookie(answer, using, cookie(using, "visitor"), "", 0)
    return answer


def _sign_in_page(request: Request, using: Services, place: str, trouble: str, status: int = 200) -> Response:
    page = SignInPage(title="Sign in", next=place, trouble=trouble, oidc=bool(using.settings.oidc_issuer))
    return _to_visitor(request, using, "sign_in.html", page, status)


def _to_visitor(request: Request, using: Services, template: str, page: Page, status: int = 200) -> Response:
    """A page for a browser that is not signed in, with the cookie that its forms' mark is made from."""
    request.state.person = None
    name = cookie(using, "visitor")
    known = name in request.cookies
    token = request.cookies.setdefault(name, secrets.token_urlsafe(32))
    answer = respond(request, using, template, page, status=status)
    if not known:
        set_cookie(answer, using, name, token, 3600)
    return answer


def _account(request: Request, using: Services, person: Person, trouble: str, status: int = 200) -> Response:
    user = using.accounts.named(person.name)
    page = AccountPage(
        title="Account",
        name=person.name,
        role=person.role,
        has_password=bool(user and user.password),
        local=bool(user and user.subject is None),
        trouble=trouble,
        min_length=using.settings.password_min_length,
        time_zone=person.zone.key,
        time_zones=clock.zones(),
        now=clock.now(),
    )
    return respond(request, using, "account.html", page, status=status)
