"""Time as the database keeps it, whole milliseconds since 1970, UTC, and as a person's time zone shows it."""

from __future__ import annotations

import functools
import time
import zoneinfo
from datetime import UTC, date, datetime
from datetime import time as dtime
from zoneinfo import ZoneInfo

from core.records import times

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
GREENWICH = ZoneInfo("UTC")
# A record may name any moment; beyond these a datetime ends in some time zone.
EARLIEST, LATEST = -62_000_000_000_000, 253_000_000_000_000

of = times.milliseconds


def now() -> int:
    """The present moment."""
    return time.time_ns() // 1_000_000


def parse(text: str) -> int:
    """Milliseconds of an RFC 3339 time; one without an offset is taken as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return of(moment)


def stamp(moment: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return times.text(local(moment, GREENWICH))


def midnight(day: date, zone: ZoneInfo = GREENWICH) -> int:
    """The first millisecond of a day in a time zone."""
    return of(datetime.combine(day, dtime(), zone))


def local(moment: int, zone: ZoneInfo) -> datetime:
    """A moment as the clocks of a time zone show it."""
    return datetime.fromtimestamp(min(max(moment, EARLIEST), LATEST) / 1000, zone)


def zone(name: str) -> ZoneInfo:
    """A time zone; UTC for a name that this machine does not know (any more)."""
    return ZoneInfo(name) if name in zones() else GREENWICH


@functools.cache
def zones() -> tuple[str, ...]:
    """Names to choose from, e.g. Europe/Berlin: UTC first, then by name."""
    known = (name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/"))
    return ("UTC", *sorted(known))
