"""ROC and precision-recall curves with the operating point on them."""

from __future__ import annotations

from markupsafe import Markup

from core.measures.curves import Curve
from core.measures.rates import Interval
from core.numbers import percent
from pipeline.report.charts.axes import Plane, shares


def roc(
    points: Curve,
    band: Curve,
    sensitivity: Interval,
    specificity: Interval,
    *,
    area: str,
    fitted: tuple[Curve, str] | None,
) -> Markup:
    """Draw the ROC curve, its band, chance, and the operating point with both its intervals.

    Args:
        points: the curve on test.
        band: its band, rows (x, low, high).
        sensitivity: at the operating point.
        specificity: at the operating point.
        area: the area under the curve, in words.
        fitted: the curve on eval and its area: a gap between the two is over-fitting, or another sample.
    """
    plane = Plane(
        f"ROC curve, area {area}",
        shares("other lesions referred, %"),
        shares("melanomas found, %"),
    )
    plane.curve([(0, 0), (1, 1)], "chance")
    plane.band(band.tolist(), "model")
    if fitted:
        plane.curve(fitted[0].tolist(), "train")
    plane.curve(points.tolist(), "model")
    x, y = 1 - specificity.value, sensitivity.value
    svg = plane.svg
    svg.line(plane.x(1 - specificity.high), plane.y(y), plane.x(1 - specificity.low), plane.y(y), "whisker")
    svg.line(plane.x(x), plane.y(sensitivity.low), plane.x(x), plane.y(sensitivity.high), "whisker")
    tip = f"operating point: {percent(y)} of melanomas found, {percent(x)} of other lesions referred"
    plane.dot(x, y, "point", tip)
    plane.note(1, 0, f"AUC on test {area}", "strong", "end", dx=-6, dy=-12)
    if fitted:
        plane.note(1, 0, f"on eval (grey) {fitted[1]}", "", "end", dx=-6, dy=-30)
    _point_note(plane, x, y)
    return svg.render()


def precision_recall(points: Curve, prevalence: float, recall: float, precision: float | None) -> Markup:
    """Draw the precision-recall curve, the share of melanomas as its floor, and the operating point."""
    plane = Plane(
        "precision-recall curve", shares("melanomas found, %"), shares("melanomas among the referred, %")
    )
    plane.curve([(0, prevalence), (1, prevalence)], "chance")
    plane.curve(points.tolist(), "model")
    plane.note(0, prevalence, f"if everybody is referred: {percent(prevalence)}", "", "start", dx=6, dy=-6)
    if precision is not None:
        plane.dot(
            recall, precision, "point", f"operating point: {percent(precision)} of the referred have melanoma"
        )
        # The curve falls to the right: what lies below and to the left of a point is free, if there is room.
        room = recall > 0.3
        anchor, dx, dy = ("end", -10, 18) if room else ("start", 10, -12)
        plane.note(recall, precision, "operating point", "strong", anchor, dx=dx, dy=dy)
    return plane.svg.render()


def _point_note(plane: Plane, x: float, y: float) -> None:
    if x < 0.6:
        plane.note(x, y, "operating point", "strong", "start", dx=10, dy=20)
    else:
        plane.note(x, y, "operating point", "strong", "end", dx=-6, dy=22)
