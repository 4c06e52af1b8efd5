"""The time that a page is about: the last hours or days, or from one moment or day to another, in a person's time zone."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dashboard import clock
from dashboard.faults import invalid

FIRST, END = date(1971, 1, 1), date(2970, 1, 1)


def _filled(value: Any) -> Any:
    return None if value == "" else value  # a form sends its empty fields too


EMPTY_IS_NONE = BeforeValidator(_filled)


class Days(BaseModel):
    """Whole days."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    since: Annotated[date | None, EMPTY_IS_NONE] = Field(None, description="on this day or later")
    until: Annotated[date | None, EMPTY_IS_NONE] = Field(None, description="on this day or before")

    def limits(self, zone: ZoneInfo) -> tuple[int, int]:
        """Return the first millisecond, and the first one after, in a person's time zone."""
        first = clock.midnight(_reached("since", self.since or FIRST), zone)
        last = clock.midnight(date.fromordinal(_reached("until", self.until or END).toordinal() + 1), zone)
        return first, last


class TimeRange(BaseModel):
    """A time up to now, or from one moment to another."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    PATTERN: ClassVar = r"^[1-9][0-9]{0,2}[hd]$"

    last: str = Field("30d", pattern=PATTERN, description="hours or days up to now, e.g. 6h, 30d")
    since: Annotated[datetime | None, EMPTY_IS_NONE] = Field(
        None, description="instead of `last`; without an offset in the time zone of the account"
    )
    until: Annotated[datetime | None, EMPTY_IS_NONE] = Field(None, description="now if empty")

    def limits(self, zone: ZoneInfo) -> tuple[int, int]:
        """Return first and last millisecond. Raises FaultError 422 if the first is not before the last."""
        until = _moment("until", self.until, zone) if self.until else clock.now()
        length = int(self.last[:-1]) * (clock.HOUR if self.last.endswith("h") else clock.DAY)
        since = _moment("since", self.since, zone) if self.since else until - length
        if since >= until:
            raise invalid("since: must be before until, which is now if it is empty")
        return since, until


def _moment(name: str, value: datetime, zone: ZoneInfo) -> int:
    _reached(name, value.date())
    return clock.of(value if value.tzinfo else value.replace(tzinfo=zone))


def _reached(name: str, day: date) -> date:
    if not FIRST <= day <= END:
        raise invalid(f"{name}: {day} lies outside {FIRST} to {END}")
    return day
