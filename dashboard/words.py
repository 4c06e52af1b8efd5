"""Numbers, times and names as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from dashboard import clock

NONE = "–"


def number(value: float | None, digits: int = 3) -> str:
    """A number with a fixed count of decimals."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """A whole number with thin spaces between thousands."""
    return NONE if value is None else f"{round(value):,}".replace(",", "\u202f")


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage."""
    return NONE if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f}\u00a0%"


def duration(seconds: float | None) -> str:
    """A span of time."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f}\u00a0s"
    if seconds < 120:
        return f"{seconds:.0f}\u00a0s"
    if seconds < 7200:
        return f"{int(seconds // 60)}\u00a0min {int(seconds % 60):02d}\u00a0s"
    if seconds < 172_800:
        return f"{int(seconds // 3600)}\u00a0h {int(seconds % 3600 // 60):02d}\u00a0min"
    return f"{seconds / 86400:.0f}\u00a0days"


@pass_context
def moment(context: Context, value: int | datetime | None) -> str:
    """A moment to the minute, in the time zone of whoever looks; the head of the table names it."""
    if isinstance(value, datetime):
        value = clock.of(value)
    return NONE if value is None else f"{clock.local(value, context['zone']):%Y-%m-%d\u00a0%H:%M}"


@pass_context
def when(context: Context, value: int | datetime | None) -> str:
    """A moment in a sentence, with the time zone's abbreviation, e.g. UTC or CET."""
    if isinstance(value, datetime):
        value = clock.of(value)
    return NONE if value is None else f"{clock.local(value, context['zone']):%Y-%m-%d\u00a0%H:%M\u00a0%Z}"


def ago(value: int | None) -> str:
    """How long a moment is past."""
    if value is None:
        return "never"
    seconds = (clock.now() - value) / 1000
    if seconds < 5:
        return "just now"
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}\u00a0{unit}s ago"
    return f"{int(seconds)}\u00a0s ago"


def milliseconds(value: float | None) -> str:
    """A latency."""
    if value is None:
        return NONE
    return f"{value / 1000:.2f}\u00a0s" if value >= 1000 else f"{value:.{0 if value >= 10 else 1}f}\u00a0ms"


def degrees(value: float | None) -> str:
    """A temperature in degrees Celsius."""
    return NONE if value is None else f"{value:.1f}\u00a0°C"


def plural(value: int, one: str, many: str = "") -> str:
    """A count with its noun, e.g. 1 check, 2 checks."""
    return f"{count(value)}\u00a0{one if value == 1 else many or one + 's'}"


def size(value: float | None) -> str:
    """Bytes."""
    if value is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f}\u00a0{unit}" if unit == "B" or value >= 100 else f"{value:.1f}\u00a0{unit}"
        value /= 1000
    return NONE


def short(value: str | None, length: int = 12) -> str:
    """The beginning of a hash."""
    return NONE if not value else value[:length]


def plain(value: Any) -> str:
    """Any value of a configuration or a check."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(one) for one in value)
    return str(value)


def spoken(value: str) -> str:
    """A name of code as words."""
    return value.replace("_", " ").replace(".", " ")


TONES = {
    "good": "good", "calm": "calm",     "pushed": "good", "unchanged": "calm", "refused": "bad", "failed": "bad", "damaged": "bad", "running": "live",
    "interrupted": "warn", "COMPLETE": "good", "CACHED": "calm", "FAILED": "bad", "RUNNING": "live",
    "CANCELED": "warn", "PENDING": "quiet", "low": "good", "review": "warn", "refer": "bad",
    "stable": "good", "canary": "calm", "AVAILABLE": "good", "LOADING": "live", "UNLOADING": "warn",
    "END": "quiet", "critical": "bad", "warning": "warn", "waiting": "warn", "done": "good",
    "declined": "bad", "silent": "bad", "fine": "good", "troubled": "warn", "melanoma": "bad",
    "unclear": "warn", "rolled_back": "warn", "promoted": "good", "canary_started": "calm", "canary_ended": "quiet", "SUCCEEDED": "good",
    "sent": "good", "ready": "good", "indexing": "live", "benign": "good", "shifted": "bad", "moved": "warn",
    "steady": "good", "too small": "quiet",
}  # fmt: skip


def tone(value: str | None) -> str:
    """The colour class of a state."""
    return TONES.get(value or "", "quiet")


FILTERS: dict[str, Callable[..., str]] = {
    "number": number,
    "count": count,
    "percent": percent,
    "duration": duration,
    "moment": moment,
    "when": when,
    "ago": ago,
    "milliseconds": milliseconds,
    "size": size,
    "degrees": degrees,
    "plural": plural,
    "short": short,
    "plain": plain,
    "spoken": spoken,
    "tone": tone,
    "stamp": clock.stamp,
}
