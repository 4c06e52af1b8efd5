"""Moments in records: RFC 3339 in UTC with milliseconds, e.g. ``2026-11-28T17:45:51.250Z``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, PlainSerializer, WithJsonSchema

PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


def text(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of_seconds(seconds: float) -> datetime:
    """Return the moment of Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC)


def milliseconds(moment: datetime) -> int:
    """Return a moment as milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


Moment = Annotated[
    AwareDatetime,
    PlainSerializer(text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": PATTERN}),
]
