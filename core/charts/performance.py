"""Charts of a classifier: ROC, precision-recall, calibration, and where its probabilities lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.charts.spec import (
    INK,
    MELANOMA,
    MUTED,
    OTHER,
    SERIES,
    Spec,
    chart,
    field,
    layer,
    note,
    rings,
    series_colour,
    series_dash,
    share_axis,
)
from core.measures.calibration import log_odds
from core.measures.curves import Curve
from core.measures.rates import Confusion, wilson
from core.numbers import count, percent, probability, rate

# Log-odds keep 0.1 % and 1 % apart, where most other lesions lie.
_MARKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)


@dataclass(frozen=True)
class NamedCurve:
    """A curve of a chart, with the area under it beside its name in the legend."""

    name: str
    points: Curve  # rows (x, y), shape [k, 2]
    area: float | None = None
    band: Curve | None = None  # rows (x, low, high), shape [m, 3]

    @property
    def label(self) -> str:
        """The name with the area."""
        return self.name if self.area is None else f"{self.name}: {rate(self.area)}"


def roc(curves: Sequence[NamedCurve], point: Confusion | None = None, confidence: float = 0.95) -> Spec:
    """Return ROC curves (their area is the AUC), chance, and the operating point with the intervals of both its rates."""
    x, y = share_axis("x", "other lesions referred"), share_axis("y", "melanomas found")
    layers = [_reference([(0, 0), (1, 1)], x, y), *_curves(curves, x, y)]
    found = point.sensitivity_interval(confidence) if point else None
    cleared = point.specificity_interval(confidence) if point else None
    if found and cleared:
        at = {"x": 1 - cleared.value, "y": found.value}
        upright = {**at, "low": found.low, "high": found.high}
        across = {**at, "low": 1 - cleared.high, "high": 1 - cleared.low}
        layers += [
            layer("rule", [upright], {"x": x, **_between("y", y)}, color=INK, size=1.6),
            layer("rule", [across], {"y": y, **_between("x", x)}, color=INK, size=1.6),
        ]
        tip = f"operating point: {percent(at['y'])} of melanomas found, {percent(at['x'])} of other lesions referred"
        layers += _point(at["x"], at["y"], tip, x, y)
    named = ", ".join(f"{one.name} area {rate(one.area)}" for one in curves)
    return chart(f"ROC curve: {named}", layers)


def precision_recall(curves: Sequence[NamedCurve], prevalence: float, point: Confusion | None = None) -> Spec:
    """Return precision-recall curves, the share of melanomas as their floor, and the operating point.

    The area of a curve is the average precision; the prevalence, melanomas by lesions, is what is found among the
    referred if everybody is referred.
    """
    x, y = share_axis("x", "melanomas found"), share_axis("y", "melanomas among the referred")
    floor = f"if everybody is referred: {percent(prevalence)}"
    layers = [
        _reference([(0, prevalence), (1, prevalence)], x, y, floor),
        *_curves(curves, x, y),
        note(x, y, [{"x": 0, "y": prevalence, "text": floor}], align="left", dx=6, dy=-9),
    ]
    if point and point.sensitivity is not None and point.positive_predictive_value is not None:
        tip = f"operating point: {percent(point.positive_predictive_value)} of the referred have melanoma"
        layers += _point(point.sensitivity, point.positive_predictive_value, tip, x, y)
    named = ", ".join(f"{one.name} area {rate(one.area)}" for one in curves)
    return chart(f"precision-recall curve: {named}", layers)


def reliability(rows: NDArray[np.float64], confidence: float = 0.95) -> Spec:
    """Return the share of melanomas against the mean probability of each bin, with Wilson's intervals.

    Each row, of shape [bins, 3], holds mean probability, share of melanomas and images.
    """
    bins = []
    for mean, share, images in rows.tolist():
        spread = wilson(round(share * images), int(images), confidence)
        if spread:
            tip = f"{count(images)} images: stated {probability(mean)}, seen {percent(share)}"
            bins.append({"x": mean, "y": share, "low": spread.low, "high": spread.high, "tip": tip})
    highest = max([0.1, *(row["high"] for row in bins), *(row["x"] for row in bins)])
    x = share_axis("x", "probability the model states", highest)
    y = share_axis("y", "melanomas among them", highest)
    layers = [
        _reference([(0, 0), (1, 1)], x, y, "what is stated happens"),
        layer("rule", bins, {"x": x, **_between("y", y)}, color=SERIES[0], size=2),
        layer("line", bins, {"x": x, "y": y}, color=SERIES[0], strokeWidth=1, opacity=0.6),
        layer("point", bins, {"x": x, "y": y}, tip=True, color=SERIES[0], filled=True, size=60, opacity=1),
    ]
    return chart("reliability diagram: probability stated against share of melanomas", layers)


def probabilities(
    edges: NDArray[np.float64], others: NDArray[np.float64], melanoma: NDArray[np.float64], threshold: float
) -> Spec:
    """Return the shares of melanomas (upwards) and of other lesions (downwards) in bins of log-odds, and the threshold.

    There are edges [k + 1] in log-odds and shares [k]; the threshold is a probability.
    """
    low, high = float(edges[0]), float(edges[-1])
    marks = {float(log_odds(value)): value for value in _MARKS if low <= float(log_odds(value)) <= high}
    rows = [
        {
            "from": float(edges[index]),
            "to": float(edges[index + 1]),
            "y": sign * float(shares[index]),
            "series": name,
            "tip": f"{percent(float(shares[index]))} of {name}",
        }
        for shares, name, sign in ((melanoma, "melanomas", 1), (others, "other lesions", -1))
        for index in range(len(shares))
        if shares[index] > 0
    ]
    x = {
        "type": "quantitative",
        "scale": {"domain": [low, high], "nice": False, "zero": False},
        "axis": {
            "title": "probability of melanoma, % (log-odds scale)",
            "values": list(marks),
            "labelExpr": "format(100 / (1 + exp(-datum.value)), '.3~g')",
            "grid": False,
        },
    }
    y = field("y", axis={"title": "share of each class, %", "labelExpr": "round(abs(datum.value) * 100)"})
    at = float(log_odds(threshold))
    left = at < (low + high) / 2
    layers = [
        layer(
            "bar",
            rows,
            {
                "x": {**x, "field": "from"},
                "x2": {"field": "to"},
                "y": y,
                "y2": {"datum": 0},
                "color": series_colour(("melanomas", "other lesions"), (MELANOMA, OTHER)),
            },
            tip=True,
        ),
        layer("rule", [{"x": at}], {"x": {**x, "field": "x"}}, color=INK, strokeDash=[2, 3]),
        note(
            {**x, "field": "x"},
            {"value": 8},
            [{"x": at, "text": f"operating point {probability(threshold)}"}],
            strong=True,
            align="left" if left else "right",
            dx=6 if left else -6,
        ),
    ]
    return chart("histogram of probabilities: melanomas upwards, other lesions downwards", layers)


def _curves(curves: Sequence[NamedCurve], x: Spec, y: Spec) -> list[Spec]:
    names = [one.label for one in curves]
    colour = series_colour(names)
    layers = []
    bands = [
        {"x": at, "low": low, "high": high, "series": one.label}
        for one in curves
        if one.band is not None
        for at, low, high in one.band.tolist()
    ]
    if bands:
        layers.append(layer("area", bands, {"x": x, **_between("y", y), "color": colour}, opacity=0.16))
    rows = [
        {"x": at, "y": height, "i": index, "series": one.label}
        for one in curves
        for index, (at, height) in enumerate(one.points.tolist())
    ]
    dashed = {"strokeDash": series_dash(names)} if len(names) > 1 else {}
    # A curve may rise at one x: its own order, not that of x, joins the points.
    layers.append(
        layer("line", rows, {"x": x, "y": y, "order": field("i"), "color": colour, **dashed}, strokeWidth=2.2)
    )
    return layers


def _between(channel: str, axis: Spec) -> Spec:
    """Return the channels of a mark that reaches from the field ``low`` to ``high`` along an axis."""
    return {channel: {**axis, "field": "low"}, f"{channel}2": {"field": "high"}}


def _reference(points: Sequence[tuple[float, float]], x: Spec, y: Spec, tip: str = "chance") -> Spec:
    rows = [{"x": at, "y": height, "tip": tip} for at, height in points]
    return layer("line", rows, {"x": x, "y": y}, color=MUTED, strokeDash=[5, 5], strokeWidth=1.2)


def _point(at: float, height: float, tip: str, x: Spec, y: Spec) -> list[Spec]:
    row = {"x": at, "y": height, "tip": tip, "text": "operating point"}
    right = at > 0.6  # of the plane: the words go where there is room
    return [
        rings([row], {"x": x, "y": y}),
        note(x, y, [row], strong=True, align="right" if right else "left", dx=-10 if right else 12, dy=18),
    ]
