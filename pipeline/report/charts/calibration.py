"""Does 20 % mean 20 %? The reliability diagram, and where the probabilities lie."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from core.measures.calibration import log_odds
from core.measures.rates import Interval
from core.numbers import count, percent, probability
from pipeline.report.charts.axes import Axis, Plane, shares

# Log-odds keep 0.1 % and 1 % apart, where most other lesions lie.
MARKS = (
    (0.001, "0.1"),
    (0.01, "1"),
    (0.05, "5"),
    (0.2, "20"),
    (0.5, "50"),
    (0.8, "80"),
    (0.95, "95"),
    (0.99, "99"),
)


def reliability(rows: NDArray[np.float64], intervals: Sequence[Interval]) -> Markup:
    """Draw the share of melanomas against the mean probability of each bin.

    Args:
        rows: mean probability, share of melanomas, images; shape [bins, 3].
        intervals: of the shares.
    """
    highest = max(float(rows[:, 0].max()), *(spread.high for spread in intervals))
    plane = Plane(
        "reliability diagram",
        shares("probability the model states, %", highest),
        shares("melanomas among them, %", highest),
    )
    plane.curve([(0, 0), (1, 1)], "chance")
    for (mean, share, images), spread in zip(rows.tolist(), intervals, strict=True):
        plane.svg.line(
            plane.x(mean), plane.y(spread.low), plane.x(mean), plane.y(spread.high), "whisker model"
        )
        tip = f"{count(images)} images: stated {probability(mean)}, seen {percent(share)}"
        plane.dot(mean, share, "model", tip)
    plane.curve(rows[:, :2].tolist(), "model thin")
    plane.note(highest, 0, "dashed: what is stated happens", "", "end", dy=-12)
    return plane.svg.render()


def histogram(
    edges: NDArray[np.float64], others: NDArray[np.float64], melanoma: NDArray[np.float64], threshold: float
) -> Markup:
    """Draw the probabilities of melanomas upwards and of other lesions downwards, each as shares.

    Args:
        edges: bin edges in log-odds, shape [k + 1].
        others: share of the other lesions in each bin, shape [k].
        melanoma: share of the melanomas in each bin, shape [k].
        threshold: the operating point, a probability.
    """
    top = max(float(others.max()), float(melanoma.max()), 1e-9) * 1.12
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1) if top / s < 3.5)
    ticks = [
        (index * step, percent(abs(index * step), 0).removesuffix("\u00a0%"))
        for index in range(-3, 4)
        if abs(index * step) <= top
    ]
    low, high = float(edges[0]), float(edges[-1])
    marks = [
        (float(log_odds(value)), words) for value, words in MARKS if low <= float(log_odds(value)) <= high
    ]
    plane = Plane(
        "probabilities by class",
        Axis("probability of melanoma, % (log-odds scale)", low, high, marks),
        Axis("share of each class, %", -top, top, ticks),
    )
    svg = plane.svg
    for index, (left, right) in enumerate(pairwise(edges.tolist())):
        x, width = plane.x(float(left)) + 0.6, plane.x(float(right)) - plane.x(float(left)) - 1.2
        for value, kind, sign in ((melanoma[index], "melanoma", 1), (others[index], "other", -1)):
            end = plane.y(sign * float(value))
            y, height = min(end, plane.y(0)), abs(end - plane.y(0))
            if height > 0.05:
                svg.add(
                    "rect",
                    x=x,
                    y=y,
                    width=width,
                    height=height,
                    class_=f"bar {kind}",
                    tip=percent(float(value)),
                )
    svg.line(plane.left, plane.y(0), plane.right, plane.y(0), "axis")
    at = float(log_odds(threshold))
    svg.line(plane.x(at), plane.top, plane.x(at), plane.bottom, "threshold")
    side = ("start", 6) if plane.x_axis.share(at) < 0.6 else ("end", -6)
    plane.note(at, top, f"operating point {probability(threshold)}", "strong", side[0], dx=side[1], dy=8)
    svg.text(plane.left + 6, plane.y(0) - 8, "melanomas", "note melanoma strong")
    svg.text(plane.right - 6, plane.y(0) + 18, "other lesions", "note other strong", text_anchor="end")
    return svg.render()
