"""Time as the database keeps it: whole milliseconds since 1970, UTC."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from datetime import time as dtime

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def now() -> int:
    """The present moment."""
    return time.time_ns() // 1_000_000


def parse(text: str) -> int:
    """Milliseconds of an RFC 3339 time; one without an offset is taken as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def stamp(moment: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    when = datetime.fromtimestamp(moment / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def midnight(day: date) -> int:
    """The first millisecond of a day, UTC."""
    return of(datetime.combine(day, dtime(), UTC))


def of(moment: datetime) -> int:
    """Milliseconds of a datetime."""
    return int(moment.timestamp() * 1000)
