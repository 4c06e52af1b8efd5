"""What goes wrong in a way a person should read: one class, turned into a page or a JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class FaultError(Exception):
    """An answer other than success; the text is for the person who asked."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


class Problem(BaseModel):
    """The JSON of an answer other than success."""

    model_config = ConfigDict(frozen=True)

    error: str = Field(description="what went wrong, and what to do")
    status: int = Field(description="HTTP status")


def missing(what: str) -> FaultError:
    """404."""
    return FaultError(404, what)


def present(found: T | None, what: str) -> T:
    """Return what was looked for. Raises FaultError 404 if there is nothing."""
    if found is None:
        raise missing(what)
    return found


def conflict(what: str) -> FaultError:
    """409."""
    return FaultError(409, what)


def invalid(what: str) -> FaultError:
    """422."""
    return FaultError(422, what)
