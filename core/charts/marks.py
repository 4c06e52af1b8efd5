"""Pictures the size of a table's row: an interval, a bar, a bar in parts.

Written as SVG here: a page has a hundred of them, and the chart engine takes 80 ms for each. Colours come from the
page's style sheet by class.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from core.measures.rates import Interval

WIDTH, HEIGHT, EDGE = 220.0, 22.0, 6.0
NARROW = 120.0  # of a whisker: two of them stand in one row


def whisker(
    interval: Interval | None,
    *,
    low: float = 0.0,
    overall: float | None = None,
    limit: float | None = None,
    kind: str = "model",
) -> Markup:
    """Return a value with its interval between ``low`` and 1, the overall value and a limit as lines."""
    middle = HEIGHT / 2

    def x(value: float) -> float:
        return EDGE + (min(1.0, max(low, value)) - low) / (1.0 - low) * (NARROW - 2 * EDGE)

    parts = [_line(EDGE, middle, NARROW - EDGE, middle, "grid")]
    if overall is not None:
        parts.append(_line(x(overall), 2, x(overall), HEIGHT - 2, "overall", f"overall: {overall:.3f}"))
    if limit is not None:
        parts.append(_line(x(limit), 2, x(limit), HEIGHT - 2, "limit", f"limit: {limit:g}"))
    if interval is not None:
        parts.append(_line(x(interval.low), middle, x(interval.high), middle, f"whisker {kind}"))
        parts.append(
            f'<circle cx="{x(interval.value):.2f}" cy="{middle:g}" r="4" class="dot {escape(kind)}">'
            f"<title>{escape(str(interval))}</title></circle>"
        )
    return _svg(NARROW, HEIGHT, "not measurable" if interval is None else str(interval), parts, "row narrow")


def stacked(
    parts: Sequence[tuple[float, str, str]],
    *,
    width: float = WIDTH,
    height: float = 14.0,
    kind: str = "row",
    stretched: bool = False,
) -> Markup:
    """Return a bar divided into parts: (value, class, what a resting pointer shows); width and height in px.

    A ``stretched`` one fills the page's width and height instead of keeping the proportions.
    """
    total = sum(value for value, _, _ in parts) or 1.0
    bars, x = [], 0.0
    for value, colour, tip in parts:
        wide = value / total * width
        if wide > 0:
            bars.append(_bar(x, 0, max(wide - 1, 0.8), height, colour, tip))
        x += wide
    return _svg(width, height, "; ".join(tip for _, _, tip in parts), bars, kind, stretched=stretched)


def bar(value: float, largest: float) -> Markup:
    """Return a bar of ``value``; ``largest`` fills the row."""
    width = value / largest * WIDTH if largest else 0.0
    return _svg(
        WIDTH,
        14,
        f"{value:g} of {largest:g}",
        [_bar(0, 1, max(width, 0.8), 12, "model", f"{value:g}")],
        "row",
    )


def columns(label: str, rows: Sequence[tuple[str, float]]) -> Markup:
    """Return columns of counts; each tells its name and count to a resting pointer."""
    width, height = 300.0, 120.0
    top = max((value for _, value in rows), default=0) or 1
    step = width / max(1, len(rows))
    bars = []
    for index, (name, value) in enumerate(rows):
        tall = max(0.8 if value else 0.0, value / top * (height - 6))
        bars.append(
            _bar(
                index * step + 0.6,
                height - tall,
                max(0.6, step - 1.2),
                tall,
                "model",
                f"{name}: {value:,.0f}",
            )
        )
    return _svg(width, height, label, bars, "chart")


def _svg(
    width: float, height: float, label: str, parts: Sequence[str], kind: str, *, stretched: bool = False
) -> Markup:
    free = ' preserveAspectRatio="none"' if stretched else ""
    head = (
        f'<svg class="{escape(kind)}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label)}"{free}>'
    )
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - every part was escaped


def _bar(x: float, y: float, width: float, height: float, kind: str, tip: str) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" rx="1.5" '
        f'class="bar {escape(kind)}"><title>{escape(tip)}</title></rect>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str, tip: str = "") -> str:
    inner = f"<title>{escape(tip)}</title>" if tip else ""
    return (
        f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" class="{escape(kind)}">{inner}</line>'
    )
