"""The area under the ROC curve, its interval, and the test of two classifiers on the same images.

DeLong's variance gives both without resampling, and so without a seed; the interval's logit scale keeps it inside 0 and
1 and covers better near 1 (Pepe, The Statistical Evaluation of Medical Tests, 2003, section 5.2.4).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.measures.curves import roc
from core.measures.rates import Interval, Labels, Scores, normal_quantile

SCREENING_SENSITIVITY = 0.8  # the partial area counts from here
_NO_VARIANCE = 1e-16


class AreaTest(NamedTuple):
    """The difference of two AUCs: second minus first, its interval, and the two-sided p-value."""

    difference: float
    low: float
    high: float
    p: float


def auc(labels: Labels, scores: Scores) -> float:
    """Return the area under the ROC curve, ties counted half (Mann-Whitney U). Raises ValueError for a single class."""
    return float(_placements(labels, scores)[0].mean())


def auc_interval(labels: Labels, scores: Scores, confidence: float = 0.95) -> Interval:
    """Return the AUC with DeLong's interval on the logit scale.

    Without variance (every melanoma above every other lesion, or one image of a class) the interval is
    Newcombe's: a perfect AUC of five melanomas is not certain. Raises ValueError for a single class.
    """
    positives = int((labels == 1).sum())
    negatives = len(labels) - positives
    areas, covariance = _areas(labels, scores[None])
    value, variance = float(areas[0]), float(covariance[0, 0])
    z = normal_quantile(confidence)
    if min(positives, negatives) < 2 or variance <= _NO_VARIANCE or value in (0.0, 1.0):
        return newcombe(value, positives, negatives, confidence)
    centre = math.log(value / (1 - value))
    half = z * math.sqrt(variance) / (value * (1 - value))
    return Interval(value=value, low=_logistic(centre - half), high=_logistic(centre + half))


def partial_auc(labels: Labels, scores: Scores, from_sensitivity: float = SCREENING_SENSITIVITY) -> float:
    """Return the area under the ROC curve that lies above a sensitivity: what counts where few may be missed.

    From 0 to ``1 - from_sensitivity``, not scaled: 0.2 is perfect and 0.02 chance from 0.8 on. Raises ValueError for a
    single class. Source: the measure of the ISIC 2024 challenge (Skin Cancer Detection with 3D-TBP), there from 0.80 on.
    """
    if not 0 < (labels == 1).sum() < len(labels):
        raise ValueError("an AUC needs positives and negatives")
    alarms, found = roc(labels, scores).T
    first = int(np.searchsorted(found, from_sensitivity, "right"))
    # Where the line is cut, between two corners of the curve.
    share = (from_sensitivity - found[first - 1]) / (found[first] - found[first - 1])
    cut = alarms[first - 1] + share * (alarms[first] - alarms[first - 1])
    cleared = 1 - np.append(cut, alarms[first:])
    return float(np.trapezoid(cleared, np.append(from_sensitivity, found[first:])))


def compare(labels: Labels, first: Scores, second: Scores, confidence: float = 0.95) -> AreaTest:
    """Compare two correlated AUCs: the same images, two classifiers.

    Source: DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988) 837-845, computed from placements as in Sun and Xu,
    IEEE Signal Processing Letters 21 (2014) 1389-1393. Raises ValueError for a single class.
    """
    areas, covariance = _areas(labels, np.stack([first, second]))
    difference = float(areas[1] - areas[0])
    return _test(difference, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]), confidence)


def compare_unpaired(
    here: tuple[Labels, Scores], elsewhere: tuple[Labels, Scores], confidence: float = 0.95
) -> AreaTest:
    """Compare the AUCs of one classifier on two independent sets of images: elsewhere minus here."""
    first, second = (_areas(labels, scores[None]) for labels, scores in (here, elsewhere))
    return _test(
        float(second[0][0] - first[0][0]), float(first[1][0, 0]) + float(second[1][0, 0]), confidence
    )


def newcombe(area: float, positives: int, negatives: int, confidence: float = 0.95) -> Interval:
    """Return an AUC with its score interval, from the counts alone.

    Source: method 5 of Newcombe, Statistics in Medicine 25 (2006) 559-573: good down to a handful of positives,
    and not of width zero at an AUC of 1.
    """
    z, extra = normal_quantile(confidence), (positives + negatives) / 2 - 1

    def distance(theta: float) -> float:
        spread = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(area - theta) - z * math.sqrt(theta * (1 - theta) * spread / (positives * negatives))

    return Interval(value=area, low=_root(distance, 0.0, area), high=_root(distance, 1.0, area))


def _test(difference: float, variance: float, confidence: float) -> AreaTest:
    if variance <= _NO_VARIANCE:
        return AreaTest(difference, difference, difference, 1.0 if abs(difference) < 1e-12 else 0.0)
    error = math.sqrt(variance)
    half = normal_quantile(confidence) * error
    p = math.erfc(abs(difference) / error / math.sqrt(2))
    return AreaTest(difference, difference - half, difference + half, p)


def _placements(labels: Labels, scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each positive the share of negatives below it, for each negative that of positives above it."""
    positives, negatives = scores[labels == 1], scores[labels != 1]
    if not len(positives) or not len(negatives):
        raise ValueError("an AUC needs positives and negatives")
    return _below(positives, negatives), 1 - _below(negatives, positives)


def _below(values: Scores, among: Scores) -> NDArray[np.float64]:
    ordered = np.sort(among)
    ranks = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(ranks / (2 * len(among)), np.float64)


def _areas(labels: Labels, scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return AUCs [k] and their covariance [k, k] of scores [k, n]; one image of a class has no variance."""
    pairs = [_placements(labels, row) for row in scores]
    first, second = np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
    covariance = sum(
        np.atleast_2d(np.cov(part)) / part.shape[1] if part.shape[1] > 1 else np.zeros((len(part), len(part)))
        for part in (first, second)
    )
    return first.mean(axis=1), np.asarray(covariance, np.float64)


def _root(function: Callable[[float], float], far: float, near: float) -> float:
    """Return where ``function`` changes sign between ``far`` (positive) and ``near``, by bisection."""
    for _ in range(60):
        middle = (far + near) / 2
        if function(middle) > 0:
            far = middle
        else:
            near = middle
    return (far + near) / 2


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
