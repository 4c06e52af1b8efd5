"""Training curves: one measure over the epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from markupsafe import Markup

from pipeline.report.charts.axes import Axis, Plane, round_numbers


@dataclass(frozen=True)
class Series:
    """One line: its name, its class in the style sheet, and a value an epoch (None where none was taken)."""

    name: str
    kind: str
    values: Sequence[float | None]


def curve(
    label: str,
    epochs: Sequence[float],
    series: Sequence[Series],
    *,
    kept: Sequence[int],
    restarts: Sequence[float],
    floor: float | None = None,
    across: str = "epoch",
) -> Markup:
    """Draw series over epochs, or what `across` names.

    Args:
        label: what is measured, with its unit: the vertical axis's title.
        epochs: where on the axis each value lies.
        series: the lines.
        kept: indices of the epochs whose weights were kept.
        restarts: epochs after which another stage began.
        floor: a value the vertical axis must hold, e.g. 0 for counts.
    """
    values = [value for one in series for value in one.values if value is not None]
    bounds = [*values, *([floor] if floor is not None else [])]
    vertical = round_numbers(label, min(bounds), max(bounds))
    plane = Plane(label, _whole(across, epochs), vertical, height=270)
    for restart in restarts:
        plane.svg.line(plane.x(restart), plane.top, plane.x(restart), plane.bottom, "restart")
    for one in series:
        rows = [(epoch, value) for epoch, value in zip(epochs, one.values, strict=True) if value is not None]
        # Stages start anew: no line joins the last epoch of one and the first of the next.
        for low, high in zip([-1.0, *restarts], [*restarts, epochs[-1] + 1], strict=True):
            part = [row for row in rows if low < row[0] < high]
            if len(part) > 1:
                plane.curve(part, one.kind)
        if len(rows) <= 30:
            for epoch, value in rows:
                plane.dot(epoch, value, one.kind, f"{one.name}, {across} {epoch:g}: {value:.4g}", radius=2.6)
        for index in kept if one.kind == "eval" else ():
            best = one.values[index]
            if best is not None:
                plane.dot(epochs[index], best, "point", f"kept: {across} {epochs[index]:g}, {best:.4g}")
    return plane.svg.render()


def range_test(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Sequence[tuple[float, str]],
) -> Markup:
    """Draw the learning-rate finder's loss over the rate, on a logarithmic axis.

    Args:
        rates: of the steps, growing.
        losses: of their batches.
        smoothed: the moving average of the losses.
        marks: rates worth knowing, each with what it is.
    """
    # The explosion at the end would press everything else flat.
    shown = [min(loss, 2 * max(smoothed[0], min(smoothed))) for loss in losses]
    drawn = [min(loss, 2 * max(smoothed[0], min(smoothed))) for loss in smoothed]
    powers = range(math.floor(math.log10(rates[0])), math.ceil(math.log10(rates[-1])) + 1)
    every = max(1, math.ceil(len(powers) / 8))
    ticks = [(10.0**power, f"1e{power}") for power in powers[::every]]
    across = Axis("learning rate of the backbone", 10.0 ** powers[0], 10.0 ** powers[-1], ticks, math.log10)
    vertical = round_numbers("loss, nats", min([*shown, *drawn]), max([*shown, *drawn]))
    plane = Plane("loss while the learning rate grows", across, vertical, height=270)
    plane.curve(list(zip(rates, shown, strict=True)), "train")
    plane.curve(list(zip(rates, drawn, strict=True)), "eval")
    for rate, words in marks:
        nearest = min(range(len(rates)), key=lambda index: abs(math.log(rates[index] / rate)))
        plane.dot(rates[nearest], drawn[nearest], "point", f"{words}: {rate:.2g}")
    return plane.svg.render()


def _whole(title: str, values: Sequence[float]) -> Axis:
    """Return an axis of whole numbers that starts at 1 unless there is only one."""
    last = max(values)
    first = 1.0 if last > 1 else 0.0
    step = next(
        step for power in count() for step in (10**power, 2 * 10**power, 5 * 10**power) if last / step <= 8
    )
    ticks = sorted({first, *(float(tick) for tick in range(step, int(last) + 1, step))})
    return Axis(title, first, last, [(tick, f"{tick:g}") for tick in ticks])
