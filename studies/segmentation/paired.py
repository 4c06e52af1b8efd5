"""Tests of two classifiers on the same images."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]


class AreaTest(NamedTuple):
    """The difference of two AUCs: second minus first, its 95 % interval, and the two-sided p-value."""

    difference: float
    low: float
    high: float
    p: float


def delong(labels: Labels, first: Scores, second: Scores) -> AreaTest:
    """Compare two correlated AUCs.

    Source: DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988) 837-845, computed by midranks as in Sun and Xu,
    IEEE Signal Processing Letters 21 (2014) 1389-1393.

    Raises:
        ValueError: only one label.
    """
    areas, covariance = _areas(labels, np.stack([first, second]))
    difference = float(areas[1] - areas[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 1e-16:
        return AreaTest(difference, difference, difference, 1.0 if abs(difference) < 1e-12 else 0.0)
    error = math.sqrt(variance)
    z = difference / error
    return AreaTest(
        difference, difference - 1.96 * error, difference + 1.96 * error, float(2 * stats.norm.sf(abs(z)))
    )


def area(labels: Labels, scores: Scores) -> tuple[float, float, float]:
    """Return an AUC with its 95 % DeLong interval, on the logit scale so that it stays within 0 and 1."""
    areas, covariance = _areas(labels, scores[None])
    value = float(areas[0])
    inside = min(max(value, 1e-6), 1 - 1e-6)
    error = math.sqrt(float(covariance[0, 0])) / (inside * (1 - inside))
    centre = math.log(inside / (1 - inside))
    low, high = (1 / (1 + math.exp(-(centre + sign * 1.96 * error))) for sign in (-1, 1))
    return value, min(low, value), max(high, value)


def mcnemar(
    labels: Labels, first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]
) -> tuple[int, int, float]:
    """Compare two sets of decisions: images only the first has right, only the second, and the exact p-value."""
    right_first, right_second = first == (labels == 1), second == (labels == 1)
    only_first, only_second = (
        int(np.sum(right_first & ~right_second)),
        int(np.sum(right_second & ~right_first)),
    )
    count = only_first + only_second
    p = float(stats.binomtest(only_first, count).pvalue) if count else 1.0
    return only_first, only_second, p


def _areas(labels: Labels, scores: Scores) -> tuple[Scores, Scores]:
    """AUCs [k] and their covariance [k, k] of scores [k, n]."""
    positive = labels == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        raise ValueError("an AUC needs positives and negatives")
    above, below = [], []
    for row in scores:
        ranks = stats.rankdata(row)
        within_positive, within_negative = stats.rankdata(row[positive]), stats.rankdata(row[~positive])
        above.append((ranks[positive] - within_positive) / n)
        below.append(1 - (ranks[~positive] - within_negative) / m)
    first, second = np.stack(above), np.stack(below)
    covariance = np.atleast_2d(np.cov(first)) / m + np.atleast_2d(np.cov(second)) / n
    return first.mean(axis=1), covariance
