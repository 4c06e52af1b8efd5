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


def place(spec: Spec) -> Markup:
    """Return the element of a chart."""
    element = Markup('<div class="chart" role="figure" aria-label="{}" data-spec="{}"></div>')
    return element.format(spec["description"], json.dumps(spec, separators=(",", ":")))


def timeline(
    title: str,
    unit: str,
    rows: Sequence[Any],
    named: Mapping[str, str],
    *,
    moment: str = "at",
    low: float | None = 0.0,
    zone: ZoneInfo,
) -> Markup:
    """Return a line for each named attribute of the rows over their moments, zoomable; a row without it is left out.

    Nothing before there are two points of one line.
    """
    dated = [(at, row) for row in rows if (at := getattr(row, moment)) and clock.EARLIEST < at < clock.LATEST]
    points = {
        name: [(float(at), value) for at, row in dated if (value := getattr(row, attribute)) is not None]
        for name, attribute in named.items()
    }
    shown = {name: line for name, line in points.items() if line}
    if not any(len(points) > 1 for points in shown.values()):
        return EMPTY
    return place(zoomable(series.time_series(title, unit, shown, low=low, zone=zone)))


def by_epoch(
    title: str,
    y_title: str,
    named: Mapping[str, tuple[Sequence[Any], str]],
    *,
    low: float | None = None,
    breaks: Sequence[float] = (),
) -> Markup:
    """Return a line over epochs for each pair of rows and attribute, zoomable; what is not a number is left out.

    A name without points keeps its colour. Nothing without any point.
    """
    points = {
        name: [
            (float(i), float(value))
            for i, row in enumerate(rows, 1)
            if (value := getattr(row, attribute)) is not None and math.isfinite(value)
        ]
        for name, (rows, attribute) in named.items()
    }
    if not any(points.values()):
        return EMPTY
    return place(zoomable(series.lines(title, "epoch", y_title, points, low=low, breaks=breaks)))
