"""The audit log and whether it is whole."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BeforeValidator, Field
from sqlalchemy import select

from dashboard.access import Approver
from dashboard.database.tables import Audit
from dashboard.page import ANSWERS, ListPage, Part, page_of, respond
from dashboard.services import Using

router = APIRouter(tags=["audit"])

ROWS = 50


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
        rows, place = page_of(session, select(Audit).where(*wanted).order_by(Audit.id.desc()), page, ROWS)
        actions = session.scalars(select(Audit.action).distinct().order_by(Audit.action)).all()
    found = using.audit.verify() if verify else None
    model = AuditPage(
        title="Audit log",
        lines=tuple(Line.model_validate(row) for row in rows),
        **place,
        action=action,
        actions=tuple(actions),
        checked=found is not None,
        intact=found.intact if found else None,
        trouble=found.trouble if found else "",
    )
    return respond(request, using, "audit.html", model)
