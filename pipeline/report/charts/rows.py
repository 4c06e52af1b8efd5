"""Small pictures that stand in a table's row."""

from __future__ import annotations

from markupsafe import Markup

from core.measures.rates import Interval
from pipeline.report.charts.svg import Svg

WIDTH = 220.0
NARROW = 120.0  # of a whisker: two of them stand in one row
HEIGHT = 22.0
EDGE = 6.0


def whisker(spread: Interval | None, overall: float, limit: float | None, low: float, kind: str) -> Markup:
    """Draw a value with its interval between ``low`` and 1, the overall value and the limit as marks."""
    svg = Svg(NARROW, HEIGHT, "interval" if spread is None else str(spread), "row narrow")
    middle = HEIGHT / 2

    def x(value: float) -> float:
        return EDGE + (min(1.0, max(low, value)) - low) / (1 - low) * (NARROW - 2 * EDGE)

    svg.line(EDGE, middle, NARROW - EDGE, middle, "grid")
    svg.line(x(overall), 2, x(overall), HEIGHT - 2, "overall", tip=f"overall: {overall:.3f}")
    if limit is not None:
        svg.line(x(limit), 2, x(limit), HEIGHT - 2, "limit", tip=f"limit: {limit:g}")
    if spread is not None:
        svg.line(x(spread.low), middle, x(spread.high), middle, f"whisker {kind}")
        svg.add("circle", cx=x(spread.value), cy=middle, r=4, class_=f"dot {kind}", tip=str(spread))
    return svg.render()


def shares(parts: list[tuple[float, str, str]]) -> Markup:
    """Draw a bar divided into parts (value, class, what a resting pointer shows)."""
    svg = Svg(WIDTH, 14, "; ".join(tip for _, _, tip in parts), "row")
    total = sum(value for value, _, _ in parts) or 1.0
    x = 0.0
    for value, kind, tip in parts:
        width = value / total * WIDTH
        if width > 0:
            svg.add(
                "rect", x=x, y=1, width=max(width - 1, 0.8), height=12, rx=1.5, class_=f"bar {kind}", tip=tip
            )
        x += width
    return svg.render()


def bar(value: float, largest: float, kind: str) -> Markup:
    """Draw a bar of ``value`` where ``largest`` fills the row."""
    svg = Svg(WIDTH, 14, f"{value:g} of {largest:g}", "row")
    width = value / largest * WIDTH if largest else 0.0
    svg.add("rect", x=0, y=1, width=max(width, 0.8), height=12, rx=1.5, class_=f"bar {kind}")
    return svg.render()
