"""How the report writes numbers: the fewest digits that are honest, a no-break space before a unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

NO_BREAK = "\u00a0"
MINUS = "\u2212"


def rate(value: float | None, digits: int = 3) -> str:
    """Return a share or an AUC as a decimal, e.g. ``0.893``; a dash where it could not be measured."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in percent, e.g. ``8.2 %``."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value * 100:.{digits}f}{NO_BREAK}%"


def probability(value: float | None) -> str:
    """Return a probability in percent with more digits the rarer the event, e.g. ``0.04 %``, ``62 %``."""
    if value is None or not math.isfinite(value):
        return "–"
    if 0 < value < 0.0001:
        return f"<{NO_BREAK}0.01{NO_BREAK}%"
    digits = 2 if value < 0.01 else 1 if value < 0.1 else 0
    # 99.96 % is not certainty.
    if 0.995 <= value < 1:
        digits = 1 if value < 0.9995 else 2
    return percent(value, digits)


def count(value: float | None) -> str:
    """Return a whole number with thousands separated, e.g. ``57,224``."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}"


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """Return an interval, e.g. ``0.871 to 0.912``."""
    return f"{rate(low, digits)} to {rate(high, digits)}"


def duration(seconds: float | None) -> str:
    """Return a duration as people write it: ``0.4 s``, ``8 s``, ``3 min 20 s``, ``1 h 05 min``, ``12 days``."""
    if seconds is None:
        return "–"
    if seconds < 0.05:
        return f"0{NO_BREAK}s"
    if seconds < 9.95:
        return f"{seconds:.1f}{NO_BREAK}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NO_BREAK}s"
    if whole < 3600:
        return f"{whole // 60}{NO_BREAK}min{NO_BREAK}{whole % 60:02d}{NO_BREAK}s"
    if whole >= 172_800:
        return f"{round(whole / 86_400)}{NO_BREAK}days"
    return f"{whole // 3600}{NO_BREAK}h{NO_BREAK}{whole % 3600 // 60:02d}{NO_BREAK}min"


def moment(value: datetime) -> str:
    """Return a time in UTC, e.g. ``21 November 2026, 23:44 UTC``."""
    return f"{value.day} {value:%B %Y, %H:%M} UTC"


def limit(value: float | None) -> str:
    """Return a checked value or its limit with as many digits as it needs, e.g. ``20``, ``0.75``, ``0.0001``."""
    if value is None or not math.isfinite(value):
        return "not measurable"
    if float(value).is_integer() and abs(value) < 1e9:
        return count(value).replace("-", MINUS)
    return f"{value:.4g}".replace("-", MINUS)


def size(value: float | None) -> str:
    """Return a number of bytes, e.g. ``14.2 MB``."""
    if value is None:
        return "–"
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f}{NO_BREAK}{unit}" if unit == "bytes" else f"{value:.1f}{NO_BREAK}{unit}"
        value /= 1000
    return f"{value:.1f}{NO_BREAK}GB"


def plural(number: float, one: str, many: str = "") -> str:
    """Return the number with its noun, e.g. ``1 image``, ``5,984 images``."""
    return f"{count(number)}{NO_BREAK}{one if number == 1 else many or one + 's'}"


FILTERS: dict[str, Callable[..., str]] = {
    one.__name__: one for one in (rate, percent, probability, count, duration, moment, limit, size)
}
