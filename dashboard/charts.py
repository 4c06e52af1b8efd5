"""Charts of a live page: a Vega-Lite specification in a place that static/charts.js draws into."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup

from core.charts import series
from core.charts.spec import Spec, zoomable
from dashboard import clock

EMPTY = Markup("")


def place(spec: Spec, *, zoom: bool = False) -> Markup:
    """Return the element of a chart; with `zoom` its axes follow wheel and drag."""
    text = json.dumps(zoomable(spec) if zoom else spec, separators=(",", ":"))
    label = spec["description"]
    return Markup('<div class="chart" role="figure" aria-label="{}" data-spec="{}"></div>').format(
        label, text
    )


def timeline(
    title: str,
    unit: str,
    named: Mapping[str, Sequence[tuple[float, float]]],
    *,
    low: float | None = 0.0,
    zone: ZoneInfo,
) -> Markup:
    """Return lines over moments, zoomable; nothing before there are two points of one line."""
    shown = {
        name: [one for one in points if clock.EARLIEST < one[0] < clock.LATEST]
        for name, points in named.items()
        if points
    }
    if not any(len(points) > 1 for points in shown.values()):
        return EMPTY
    return place(series.time_series(title, unit, shown, low=low, zone=zone), zoom=True)


def lines(
    title: str,
    x_title: str,
    y_title: str,
    named: Mapping[str, series.Points],
    *,
    low: float | None = None,
    breaks: Sequence[float] = (),
) -> Markup:
    """Return lines over epochs, zoomable; a name without points keeps its colour. Nothing without any point."""
    if not any(named.values()):
        return EMPTY
    return place(series.lines(title, x_title, y_title, named, low=low, breaks=breaks), zoom=True)


def by_epoch(rows: Sequence[Any], name: str) -> list[tuple[float, float]]:
    """Return an attribute of each epoch by its place; what is not a number is left out."""
    values = [(i + 1, getattr(row, name)) for i, row in enumerate(rows)]
    return [(float(i), float(value)) for i, value in values if value is not None and math.isfinite(value)]
