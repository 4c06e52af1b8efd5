"""What every form of ours sends."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from dashboard.page import Page, respond
from dashboard.services import Services

T = TypeVar("T")
InForm = Annotated[T, Form()]


class FormData(BaseModel):
    """A form; `csrf` was checked before it comes here."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    csrf: str = Field("", description="the mark of our own pages; or the header X-CSRF-Token")

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:  # PostgreSQL stores none
            raise ValueError("holds a NUL character")
        return value


class OncePage(Page):
    """Something that is shown once and kept nowhere."""

    label: str
    value: str
    note: str
    back: str


def once(request: Request, using: Services, *, title: str, label: str, value: str, note: str) -> Response:
    """Show a secret that was made for an administrator; nothing shows it again."""
    page = OncePage(title=title, label=label, value=value, note=note, back="/admin")
    return respond(request, using, "once.html", page)


def go(place: str) -> RedirectResponse:
    """See what came of it."""
    return RedirectResponse(place, status_code=303)


def inside(place: str) -> str:
    """A place on this site, or the first page: never another site's address."""
    good = place.startswith("/") and not place.startswith(("//", "/\\")) and "\\" not in place
    return place if good and place.isprintable() else "/runs"
