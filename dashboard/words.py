"""Numbers, times and names as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from core.numbers import count, duration, percent, plural, size
from core.numbers import rate as number
from dashboard import clock

NONE = "–"


@pass_context
def moment(context: Context, value: int | datetime | None, *, form: str = "%Y-%m-%d\u00a0%H:%M") -> str:
    """A moment to the minute, in the time zone of whoever looks; the head of the table names it."""
    if isinstance(value, datetime):
        value = clock.of(value)
    return NONE if value is None else f"{clock.local(value, context['zone']):{form}}"


@pass_context
def when(context: Context, value: int | str | datetime | None) -> str:
    """A moment in a sentence, with the time zone's abbreviation, e.g. UTC or CET; a text that is none as it is."""
    try:
        shown = clock.parse(value) if isinstance(value, str) else value
    except (ValueError, OverflowError):
        return str(value)
    return moment(context, shown, form="%Y-%m-%d\u00a0%H:%M\u00a0%Z")


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


_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff]")


def isolated(value: Any) -> Any:
    """A text that would turn its neighbours around, between marks that keep its direction to itself.

    Every expression of every template passes here; Markup has passed before. A field's value is left as it is by `typed`.
    """
    if isinstance(value, str) and not isinstance(value, Markup) and _RIGHT_TO_LEFT.search(value):
        return f"\u2068{value}\u2069"
    return value


def typed(value: Any) -> Markup:
    """What stands in a field of a form, which is to be sent back as it was."""
    return escape("" if value is None else value)


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


def flat(value: Any, path: str = "") -> dict[str, str]:
    """A configuration as one row a setting."""
    if isinstance(value, dict) and value:
        result: dict[str, str] = {}
        for key, inner in value.items():
            result |= flat(inner, f"{path}.{key}" if path else str(key))
        return result
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return {k: v for i, one in enumerate(value) for k, v in flat(one, f"{path}[{i}]").items()}
    return {path: plain(value)} if path else {}


def differing(configs: Sequence[dict[str, Any]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the settings that are not the same in all configurations, each with its values in their order."""
    rows = [flat(config) for config in configs]
    keys = sorted({key for row in rows for key in row})
    found = ((key, tuple(row.get(key, NONE) for row in rows)) for key in keys)
    return tuple((key, values) for key, values in found if len(set(values)) > 1)


def spoken(value: str) -> str:
    """A name of code as words."""
    return value.replace("_", " ").replace(".", " ")


# The states of each colour; every other one is quiet.
TONES = {
    state: colour
    for colour, states in (
        (
            "good",
            "good pushed COMPLETE low stable AVAILABLE done fine promoted SUCCEEDED sent ready benign steady",
        ),
        ("calm", "calm unchanged CACHED canary canary_started"),
        ("live", "running RUNNING LOADING indexing"),
        ("warn", "interrupted CANCELED review UNLOADING warning waiting troubled unclear rolled_back moved"),
        ("bad", "refused failed damaged FAILED refer critical declined silent melanoma shifted"),
    )
    for state in states.split()
}


def tone(value: str | None) -> str:
    """The colour class of a state."""
    return TONES.get(value or "", "quiet")


FILTERS: dict[str, Callable[..., str]] = {
    **{
        one.__name__: one
        for one in (
            *(count, percent, duration, size, plural),
            *(moment, when, ago, milliseconds, degrees, short, typed, plain, spoken, tone),
        )
    },
    "number": number,
    "stamp": clock.stamp,
}
