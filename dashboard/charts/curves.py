"""ROC, precision-recall and calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from dashboard import measures, words
from dashboard.charts.axes import Plane, shares
from dashboard.measures import GRID, Confusion, Curves


def roc(named: Sequence[tuple[str, Curves]], point: Confusion | None) -> Markup:
    """ROC of one or more models, the first with its band and its operating point."""
    plane = Plane(
        "ROC: " + ", ".join(f"{name} area {words.number(one.auc.value)}" for name, one in named),
        shares("other lesions referred, %"),
        shares("melanomas found, %"),
    )
    plane.curve([(0, 0), (1, 1)], "chance")
    for number, (_, one) in enumerate(named):
        if number == 0:
            plane.band(np.column_stack([GRID, one.roc_low, one.roc_high]).tolist(), "series-0")
        plane.curve(np.column_stack([GRID, one.roc]).tolist(), f"series-{number}")
    if point is not None and point.sensitivity and point.specificity:
        x, y = 1 - point.specificity.value, point.sensitivity.value
        plane.svg.line(
            plane.x(1 - point.specificity.high),
            plane.y(y),
            plane.x(1 - point.specificity.low),
            plane.y(y),
            "whisker",
        )
        plane.svg.line(
            plane.x(x), plane.y(point.sensitivity.low), plane.x(x), plane.y(point.sensitivity.high), "whisker"
        )
        plane.dot(
            x, y, "point", f"{words.percent(y)} of melanomas found, {words.percent(x)} of others referred"
        )
    return plane.svg.render()


def precision_recall(
    named: Sequence[tuple[str, Curves]], prevalence: float, point: Confusion | None
) -> Markup:
    """Precision-recall of one or more models; the dashed line is referring everybody."""
    plane = Plane(
        "precision and recall: "
        + ", ".join(f"{name} {words.number(one.average_precision.value)}" for name, one in named),
        shares("melanomas found, %"),
        shares("melanomas among the referred, %"),
    )
    plane.curve([(0, prevalence), (1, prevalence)], "chance")
    for number, (_, one) in enumerate(named):
        if number == 0:
            plane.band(np.column_stack([GRID, one.precision_low, one.precision_high]).tolist(), "series-0")
        plane.curve(np.column_stack([GRID, one.precision]).tolist(), f"series-{number}")
    if point is not None and point.sensitivity and point.precision:
        plane.dot(point.sensitivity.value, point.precision.value, "point", "operating point")
    return plane.svg.render()


def reliability(rows: Sequence[tuple[float, float, int]]) -> Markup:
    """What the model states against what happens, with Wilson intervals."""
    plane = Plane("calibration", shares("probability stated, %"), shares("melanomas among them, %"))
    plane.curve([(0, 0), (1, 1)], "chance")
    for mean, share, images in rows:
        spread = measures.wilson(round(share * images), images)
        if spread is not None:
            plane.svg.line(
                plane.x(mean), plane.y(spread.low), plane.x(mean), plane.y(spread.high), "whisker series-0"
            )
        plane.dot(
            mean,
            share,
            "series-0",
            f"{images} images: stated {words.percent(mean)}, seen {words.percent(share)}",
        )
    plane.curve([row[:2] for row in rows], "series-0 thin")
    return plane.svg.render()
