"""People, tokens, and the audit log of what they did."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BeforeValidator, Field
from sqlalchemy import select

from dashboard.access import Admin, Approver, base_url
from dashboard.database.connection import by_number
from dashboard.database.tables import Audit, Token, User
from dashboard.faults import invalid, missing, present
from dashboard.page import ANSWERS, CHANGE, DONE, ListPage, Page, Part, page_of, respond
from dashboard.security.roles import MEANING, SCOPES, Role, Scope
from dashboard.security.sessions import LINK_MINUTES
from dashboard.services import Using
from dashboard.views.forms import FormData, InForm, OncePage, go, once

router = APIRouter(tags=["administration"])

AUDIT_ROWS = 50


class Account(Part):
    """A person."""

    id: int
    name: str
    role: str
    active: bool
    provider: bool = Field(description="signs in at the OpenID provider")
    has_password: bool
    signed_in: int | None


class Issued(Part):
    """A token, by its beginning."""

    id: int
    name: str
    hint: str
    device_id: str | None
    scopes: Annotated[tuple[str, ...], BeforeValidator(lambda value: tuple(value.split()))]
    created: int
    created_by: str
    used: int | None
    revoked: int | None


class AdminPage(Page):
    """People and tokens."""

    people: tuple[Account, ...]
    tokens: tuple[Issued, ...]
    roles: dict[str, str]
    scopes: tuple[str, ...]


class PersonForm(FormData):
    """A new account."""

    name: str = Field(min_length=1, max_length=64)
    role: Role


class ChangeForm(FormData):
    """An account as it should be."""

    role: Role
    active: bool = False


class TokenForm(FormData):
    """A new token."""

    name: str = Field(min_length=1, max_length=120)
    device_id: str = Field("", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")
    scope: list[Scope] = Field(min_length=1, description="what it may be used for")


@router.get("/admin", response_model=AdminPage, responses=ANSWERS)
def admin(request: Request, using: Using, _: Admin) -> Response:
    """Everybody and every token."""
    with using.database.read() as session:
        people = session.scalars(select(User).order_by(User.name)).all()
        tokens = session.scalars(
            select(Token).order_by(Token.revoked.is_not(None), Token.id.desc()).limit(200)
        ).all()
    model = AdminPage(
        title="Administration",
        people=tuple(
            Account.of(one, provider=one.subject is not None, has_password=one.password is not None)
            for one in people
        ),
        tokens=tuple(Issued.of(one) for one in tokens),
        roles={**MEANING},
        scopes=SCOPES,
    )
    return respond(request, using, "admin.html", model)


ONCE = {**ANSWERS, 409: DONE[409]}


@router.post("/admin/people", response_model=OncePage, responses=ONCE)
def make_person(request: Request, using: Using, person: Admin, form: InForm[PersonForm]) -> Response:
    """Make an account; its sign-in link is shown once."""
    user = using.accounts.make(form.name, form.role, person.name)
    return _link(request, using, user.id, user.name)


@router.post("/admin/people/{number}", **CHANGE)
def change_person(using: Using, person: Admin, number: int, form: InForm[ChangeForm]) -> RedirectResponse:
    """Change a role, or close an account; sessions of that person end."""
    using.accounts.change(number, role=form.role, active=form.active, by=person.name)
    return go("/admin")


@router.post("/admin/people/{number}/link", response_model=OncePage, responses=ONCE)
def new_link(request: Request, using: Using, person: Admin, number: int) -> Response:
    """A new sign-in link for somebody who lost a password."""
    with using.database.write() as session:
        user = by_number(session, User, number)
        if user is None or not user.active:
            raise missing(f"there is no open account number {number}")
        using.audit.add(session, person.name, "account.link", user.name)
    return _link(request, using, user.id, user.name)


@router.post("/admin/tokens", response_model=OncePage, responses=ONCE)
def make_token(request: Request, using: Using, person: Admin, form: InForm[TokenForm]) -> Response:
    """Make a token; it is shown once."""
    if "report" in form.scope and not form.device_id:
        raise invalid("device_id: a token that may report belongs to one device")
    with using.database.write() as session:
        token = using.tokens.issue(
            session, name=form.name, scopes=form.scope, device_id=form.device_id or None, by=person.name
        )
        using.audit.add(
            session, person.name, "token.make", form.name, device=form.device_id, scopes=sorted(form.scope)
        )
    note = "Send it as `Authorization: Bearer TOKEN`. It is not kept here: copy it now."
    return once(request, using, title=f"Token {form.name}", label="Token", value=token, note=note)


@router.post("/admin/tokens/{number}/revoke", **CHANGE)
def revoke(using: Using, person: Admin, number: int) -> RedirectResponse:
    """End a token."""
    with using.database.write() as session:
        row = present(using.tokens.revoke(session, number), f"there is no token {number}")
        using.audit.add(session, person.name, "token.revoke", row.name, device=row.device_id)
    return go("/admin")


def _link(request: Request, using: Using, user_id: int, name: str) -> Response:
    token = using.sessions.link(user_id)
    value = f"{base_url(request, using)}/sign-in/link?token={token}"
    note = f"It works once, within {LINK_MINUTES} minutes. Give it to {name} and nobody else."
    return once(request, using, title=f"Sign-in link for {name}", label="Link", value=value, note=note)


class Line(Part):
    """One line."""

    id: int
    at: int
    who: str
    action: str
    subject: str
    detail: Annotated[dict[str, Any], BeforeValidator(json.loads)]
    digest: str


class AuditPage(ListPage):
    """The log, newest first, and what reading its whole chain said."""

    lines: tuple[Line, ...]
    action: str
    actions: tuple[str, ...]
    checked: bool = Field(description="the whole chain was read for this answer")
    intact: bool | None
    trouble: str


@router.get("/audit", response_model=AuditPage, responses=ANSWERS)
def audit(
    request: Request,
    using: Using,
    _: Approver,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    action: Annotated[str, Query(pattern=r"^[a-z.-]{0,40}$")] = "",
    verify: bool = False,
) -> Response:
    """Who did what."""
    wanted = [Audit.action == action] if action else []
    with using.database.read() as session:
        rows, place = page_of(
            session, select(Audit).where(*wanted).order_by(Audit.id.desc()), page, AUDIT_ROWS
        )
        actions = session.scalars(select(Audit.action).distinct().order_by(Audit.action)).all()
    found = using.audit.verify() if verify else None
    model = AuditPage(
        title="Audit log",
        lines=tuple(Line.of(row) for row in rows),
        **place,
        action=action,
        actions=tuple(actions),
        checked=found is not None,
        intact=found.intact if found else None,
        trouble=found.trouble if found else "",
    )
    return respond(request, using, "audit.html", model)
