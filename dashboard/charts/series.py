"""Lines over epochs or time, and bars."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dashboard import clock, words
from dashboard.charts.axes import Axis, Plane, round_numbers
from dashboard.charts.svg import Svg

Line = tuple[str, Sequence[tuple[float, float]]]


def lines(
    label: str, x_title: str, y_title: str, named: Sequence[Line], *, low: float | None = None
) -> Markup:
    """Lines of numbers over numbers."""
    points = [point for _, line in named for point in line]
    if not points:
        return Markup("")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    plane = Plane(
        label,
        round_numbers(x_title, min(xs), max(xs)),
        round_numbers(y_title, min(ys) if low is None else low, max(ys), 5),
        height=260,
    )
    for number, (_, line) in enumerate(named):
        if not line:
            continue
        plane.curve(line, f"series-{number}")
        for x, y in line if len(line) < 30 else ():
            plane.dot(x, y, f"series-{number}", f"{x:g}: {y:.4g}", 3)
    return plane.svg.render()


def timeline(
    label: str,
    y_title: str,
    named: Sequence[Line],
    *,
    width: float = 440,
    height: float = 220,
    low: float = 0.0,
) -> Markup:
    """Lines over moments (milliseconds)."""
    points = [point for _, line in named for point in line]
    if len(points) < 2:
        return Markup("")
    begin, end = min(x for x, _ in points), max(x for x, _ in points)
    top = max(y for _, y in points) or 1.0
    plane = Plane(
        label,
        time_axis(begin, end),
        round_numbers(y_title, low, max(top, low), 4),
        width=width,
        height=height,
        bottom=34,
        right=24,
    )
    for number, (name, line) in enumerate(named):
        if not line:
            continue
        plane.curve(line, f"series-{number}")
        if len(line) <= 90:
            for x, y in line:
                plane.dot(x, y, f"series-{number}", f"{name}, {words.moment(int(x))}: {y:.4g}", 2.2)
    return plane.svg.render()


def time_axis(begin: float, end: float) -> Axis:
    """Four ticks in UTC, written as shortly as the span allows."""
    end = end if end > begin else begin + 1
    span = end - begin
    cut = slice(11, 19) if span < clock.HOUR else slice(11, 16) if span < 2 * clock.DAY else slice(5, 10)
    ticks = [(begin + span * i / 3, clock.stamp(int(begin + span * i / 3))[cut]) for i in range(4)]
    return Axis("", begin, end, ticks)


def histograms(label: str, names: Sequence[str], reference: Sequence[int], seen: Sequence[int]) -> Markup:
    """Shares of the training data behind shares of what was seen, bin by bin."""
    width, height, left, bottom = 440.0, 190.0, 34.0, 158.0
    svg = Svg(width, height, label)
    expected, actual = sum(reference) or 1, sum(seen) or 1
    top = max([*(n / expected for n in reference), *(n / actual for n in seen), 1e-9])
    step = (width - left - 6) / max(1, len(names))
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - 12)
        svg.line(left, y, width - 6, y, "grid")
        svg.text(
            left - 6, y + 4, words.percent(share * top, 0).replace("\u00a0", ""), "tick", text_anchor="end"
        )
    for i, name in enumerate(names):
        x = left + i * step
        for values, total, kind, inset in (
            (reference, expected, "reference", 0.06),
            (seen, actual, "seen", 0.28),
        ):
            share = values[i] / total
            tall = share / top * (bottom - 12)
            if tall > 0.2:
                svg.add(
                    "rect",
                    x=x + inset * step,
                    y=bottom - tall,
                    width=(1 - 2 * inset) * step,
                    height=tall,
                    class_=f"bar {kind}",
                    tip=f"{name}: {words.percent(share)} ({kind})",
                )
    for i in (0, len(names) // 2, len(names) - 1):
        anchor = "start" if i == 0 else "end" if i == len(names) - 1 else "middle"
        x = left + (i + (0 if i == 0 else 1 if i == len(names) - 1 else 0.5)) * step
        svg.text(x, bottom + 18, names[i], "tick", text_anchor=anchor)
    return svg.render()


def columns(label: str, rows: Sequence[tuple[str, float]], *, height: float = 120) -> Markup:
    """Columns of counts, e.g. TFDV's histogram; each tells its range and count."""
    svg = Svg(300, height, label)
    top = max((value for _, value in rows), default=0) or 1
    step = 300 / max(1, len(rows))
    for i, (name, value) in enumerate(rows):
        tall = max(0.8 if value else 0.0, value / top * (height - 6))
        svg.add("rect", x=i * step + 0.6, y=height - tall, width=max(0.6, step - 1.2), height=tall, rx=1, class_="bar series-0", tip=f"{name}: {words.count(value)}")  # fmt: skip
    return svg.render()


def stacked(
    parts: Sequence[tuple[str, float, str]], label: str, *, width: float = 640, height: float = 26
) -> Markup:
    """One bar divided into parts (class, value, what a resting pointer shows)."""
    svg = Svg(width, height, label, "row")
    total = sum(value for _, value, _ in parts) or 1.0
    x = 0.0
    for kind, value, tip in parts:
        wide = value / total * width
        if wide > 0:
            svg.add(
                "rect", x=x, y=0, width=max(wide - 1, 0.8), height=height, rx=2, class_=f"bar {kind}", tip=tip
            )
        x += wide
    return svg.render()


def spark(values: Sequence[float], label: str) -> Markup:
    """A line of a table's row."""
    svg = Svg(120, 26, label, "spark")
    if len(values) > 1:
        low, high = min(values), max(values)
        scale = 20 / (high - low) if high > low else 0
        points = [(2 + i * 116 / (len(values) - 1), 23 - (v - low) * scale) for i, v in enumerate(values)]
        svg.path(points, "curve series-0")
    return svg.render()


def whisker(value: float, low: float, high: float, overall: float | None, kind: str) -> Markup:
    """A value with its interval between 0 and 1."""
    svg = Svg(180, 20, f"{value:.3f} ({low:.3f} to {high:.3f})", "row")

    def x(share: float) -> float:
        return 4 + min(1.0, max(0.0, share)) * 172

    svg.line(4, 10, 176, 10, "grid")
    if overall is not None:
        svg.line(x(overall), 2, x(overall), 18, "overall", tip=f"overall {overall:.3f}")
    svg.line(x(low), 10, x(high), 10, f"whisker {kind}")
    svg.add(
        "circle", cx=x(value), cy=10, r=4, class_=f"dot {kind}", tip=f"{value:.3f} ({low:.3f} to {high:.3f})"
    )
    return svg.render()
