"""Charts of a live page: a Vega-Lite specification in a place that static/charts.js draws into."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from markupsafe import Markup

from core.charts import series
from core.charts.spec import Spec, zoomable

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
    shown = {name: points for name, points in named.items() if points}
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
