"""A page: one model, shown as HTML or sent as JSON."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from fastapi import Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import Field
from sqlalchemy import Select, func
from sqlalchemy.orm import Session

from core.hashing import file_hash
from core.settings import Frozen
from dashboard import clock, words
from dashboard.access import csrf_token, wants_json
from dashboard.faults import Problem
from dashboard.security.roles import Person
from dashboard.services import Services

T = TypeVar("T")
InQuery = Annotated[T, Query()]
FOLDER = Path(__file__).parent
NAVIGATION = ("runs", "models", "lineage", "data", "serving", "field", "devices", "alerts")
PageNumber = Annotated[int, Query(ge=1, le=100_000)]


class Page(Frozen):
    """What a page shows; subclasses add the facts."""

    title: str = Field(description="the page's heading")


class ListPage(Page):
    """A page of a long list."""

    total: int = Field(description="that match, on all pages")
    page: int
    pages: int


def paged(total: int, page: int, rows: int) -> tuple[dict[str, int], int]:
    """Return the fields of a ListPage and the index of its first row; a page beyond the last is the last."""
    pages = max(1, -(-total // rows))
    page = min(page, pages)
    return {"total": total, "page": page, "pages": pages}, (page - 1) * rows


def page_of(
    session: Session, statement: Select[T], page: int, rows: int
) -> tuple[Sequence[T], dict[str, int]]:
    """Return the rows of a page of a statement, and the fields of its ListPage."""
    count = statement.with_only_columns(func.count(), maintain_column_froms=True).order_by(None)
    place, first = paged(session.scalar(count) or 0, page, rows)
    return session.scalars(statement.limit(rows).offset(first)).all(), place


class Part(Frozen):
    """A part of a page."""

    @classmethod
    def of(cls, row: object, /, **facts: Any) -> Self:
        """Return a row or record as a page shows it: its fields of the same names, and other facts."""
        names = cls.model_fields.keys() - facts.keys()
        return cls.model_validate({name: getattr(row, name) for name in names} | facts)


# For OpenAPI: what a page may answer besides its JSON.
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {}}},
    303: {"description": "nobody is signed in: the place to do so"},
    401: {"model": Problem, "description": "nobody is signed in"},
    403: {"model": Problem, "description": "not allowed"},
    404: {"model": Problem, "description": "there is no such thing"},
    422: {"model": Problem, "description": "a value that cannot be used"},
    429: {"model": Problem, "description": "too many requests"},
}


def of_kind(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: an answer of these media types; what goes wrong is JSON, or a page, as everywhere."""
    return {**ANSWERS, 200: {"description": "what was asked for", "content": {kind: {} for kind in kinds}}}


REFUSALS: dict[int | str, dict[str, Any]] = {status: ANSWERS[status] for status in (401, 403, 422, 429)}
DONE: dict[int | str, dict[str, Any]] = {
    303: {"description": "done: the page to look at"},
    404: ANSWERS[404],
    **REFUSALS,
    409: {"model": Problem, "description": "not possible as things stand"},
}
# What every route of a form that changes something is declared with.
CHANGE: dict[str, Any] = {"response_class": RedirectResponse, "status_code": 303, "responses": DONE}


def respond(
    request: Request,
    using: Services,
    template: str,
    page: Page,
    *,
    status: int = 200,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """The page as HTML, or as JSON where that is asked for. `extra`: pictures of what the page holds."""
    if wants_json(request):
        # Not a dump through json: it writes NaN, which no reader understands; this writes null.
        return Response(
            page.model_dump_json(),
            status_code=status,
            headers={"Vary": "Accept"},
            media_type="application/json",
        )
    person: Person | None = getattr(request.state, "person", None)
    html = (
        environment()
        .get_template(template)
        .render(
            page=page,
            person=person,
            csrf=csrf_token(request, using),
            pulse=getattr(request.state, "pulse", using.pulse.count),
            navigation=NAVIGATION,
            here=request.scope["path"],  # of the URL what stands behind # or ? of a name would be gone
            query=dict(request.query_params),
            zone=person.zone if person else clock.GREENWICH,
            open_alerts=using.alerts.open_count if person else 0,
            model_name=using.settings.model_name,
            oidc=bool(using.settings.oidc_issuer),
            **(extra or {}),
        )
    )
    return HTMLResponse(html, status_code=status, headers={"Vary": "Accept"})


def jpeg(path: Path) -> FileResponse:
    """Return a small picture; the browser of whoever may see it keeps it for an hour."""
    return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@functools.cache
def environment() -> Environment:
    """The templates; everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=words.isolated,
    )
    made.filters.update(words.FILTERS)
    made.globals["asset"] = asset
    return made


def compile_all() -> None:
    """Compile every template now, so that no visitor waits for it."""
    for name in environment().list_templates():
        environment().get_template(name)


@functools.cache
def asset(name: str) -> str:
    """The address of a file in static/, with a mark that changes when our own files do."""
    return f"/static/{name}?{file_hash(FOLDER / 'static' / name)[:10]}"
