"""Lines over epochs, steps, rates or time, and histograms beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from core.charts.spec import (
    MUTED,
    REFERENCE,
    SERIES,
    Spec,
    chart,
    dots,
    field,
    layer,
    number_axis,
    rings,
    series_colour,
    series_dash,
)
from core.numbers import percent

Points = Sequence[tuple[float, float | None]]

_DOTS = 30  # values: of longer lines no single one is pointed at
_HEIGHT = 220
# The library writes 06 PM; every page has 24 hours.
_CLOCK = {"hours": "%H:%M", "minutes": "%H:%M", "seconds": "%H:%M:%S", "milliseconds": ".%L"}


def lines(
    title: str,
    x_title: str,
    y_title: str,
    series: Mapping[str, Points],
    *,
    low: float | None = None,
    marks: Sequence[tuple[float, float, str]] = (),
    breaks: Sequence[float] = (),
    logarithmic: bool = False,
) -> Spec:
    """Return lines of numbers over numbers: points (x, y) by name; a y of None is left out.

    The vertical axis holds ``low``, the horizontal one may be logarithmic; titles name the units. Marks are points worth
    knowing, (x, y, what it is); at breaks another stage begins: a rule, and no line across it.
    """
    whole = all(float(x).is_integer() for points in series.values() for x, _ in points)
    x = number_axis("x", x_title, **({"type": "log", "nice": False} if logarithmic else {"nice": False}))
    if logarithmic:
        x["axis"]["format"] = ".0e"
    elif whole:
        x["axis"] |= {"format": "d", "tickMinStep": 1, "grid": False}
    y = number_axis("y", y_title, low=low)
    rows = [
        {
            "x": at,
            "y": value,
            "series": name,
            "part": sum(at > end for end in breaks),
            "tip": f"{name}, {x_title} {at:.4g}: {value:.4g}",
        }
        for name, points in series.items()
        for at, value in points
        if value is not None
    ]
    colour = series_colour(list(series), legend=len(series) > 1)
    dashed = {"strokeDash": series_dash(list(series))} if len(series) > 1 else {}
    encoding = {"x": x, "y": y, "color": colour, "detail": field("part", "nominal"), **dashed}
    layers = [layer("line", rows, encoding, strokeWidth=2.2)]
    if breaks:
        layers.append(layer("rule", [{"x": end} for end in breaks], {"x": x}, color=MUTED, strokeDash=[2, 4]))
    dotted = [row for row in rows if len(series[str(row["series"])]) <= _DOTS]
    if dotted:
        layers.append(dots(dotted, {"x": x, "y": y, "color": colour}, 24))
    if marks:
        named = [{"x": at, "y": value, "tip": f"{words}: {value:.4g}"} for at, value, words in marks]
        layers.append(rings(named, {"x": x, "y": y}))
    return chart(title, layers, height=_HEIGHT)


def time_series(
    title: str,
    unit: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    low: float | None = 0.0,
    zone: tzinfo = UTC,
) -> Spec:
    """Return lines over moments in milliseconds since 1970, UTC, on the clocks of a time zone; the axis holds ``low``."""
    rows = [
        {
            # The axis is one of UTC, and is to read like the clocks of the moment's zone.
            "x": when.replace(tzinfo=UTC).timestamp() * 1000,
            "y": value,
            "series": name,
            "tip": f"{name}, {when:%Y-%m-%d %H:%M:%S %Z}: {value:.4g}",
        }
        for name, points in series.items()
        for at, value in points
        for when in (datetime.fromtimestamp(at / 1000, zone),)
    ]
    axis = {"title": f"time, {zone}", "tickCount": 5, "grid": False, "labelOverlap": True, "format": _CLOCK}
    x = field("x", "temporal", scale={"type": "utc"}, axis=axis)
    y = number_axis("y", unit, low=low)
    colour = series_colour(list(series), legend=len(series) > 1)
    encoding = {"x": x, "y": y, "color": colour}
    dashed = {"strokeDash": series_dash(list(series))} if len(series) > 1 else {}
    return chart(
        title,
        [
            layer("line", rows, {**encoding, **dashed}, strokeWidth=2),
            dots(rows, encoding, 16),
        ],
        height=180,
    )


def histogram(title: str, names: Sequence[str], reference: Sequence[int], seen: Sequence[int]) -> Spec:
    """Return shares of what was seen in front of shares of the training data, from the counts of each named bin."""
    series = ("training data", "seen")
    rows = [
        {"bin": name, "y": value / total, "series": kind, "tip": f"{name}: {percent(value / total)} ({kind})"}
        for kind, counts in zip(series, (reference, seen), strict=True)
        for total in (sum(counts) or 1,)
        for name, value in zip(names, counts, strict=True)
    ]
    x = field("bin", "nominal", sort=None, axis={"title": title, "labelAngle": 0, "labelOverlap": True})
    y = field("y", stack=None, axis={"title": "share, %", "labelExpr": "round(datum.value * 1000) / 10"})
    colour = series_colour(series, (REFERENCE, SERIES[0]))
    back, front = ([row for row in rows if row["series"] == kind] for kind in series)
    encoding = {"x": x, "y": y, "color": colour}
    return chart(
        f"{title}: shares of the training data and of what was seen",
        [
            layer("bar", back, encoding, tip=True, width={"band": 0.9}),
            layer("bar", front, encoding, tip=True, width={"band": 0.45}),
        ],
        height=160,
    )
