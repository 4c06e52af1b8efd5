"""Whether a stated probability means what it says.

The calibration error is the root mean squared gap between stated probability and share of melanomas over bins of equal
mass, less what chance alone puts into it (Kumar, Liang, Ma, "Verified Uncertainty Calibration", NeurIPS 2019, section 4):
of a perfectly calibrated model on 222 images with 43 % melanomas the plain mean gap (Naeini et al., AAAI 2015) shows
0.060, this one 0.022. Bins of equal width would put nine of ten images of a screening population into the first one.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.measures.rates import Interval, Labels, Scores, normal_quantile

BINS, IN_A_BIN = 15, 40
# How pages and records name the method.
CALIBRATION_METHOD = (
    f"root mean squared calibration error without what chance adds (Kumar 2019), up to {BINS} bins of equal mass, "
    f"{IN_A_BIN} images or more in each"
)
_EPSILON = 1e-7


class CalibrationLine(NamedTuple):
    """Cox's line: log-odds of the outcome = intercept + slope * log-odds stated; None for what is undetermined."""

    intercept: Interval | None  # with the slope held at 1: above 0, melanoma is more frequent than stated
    slope: Interval | None  # below 1, statements are too extreme


def brier(labels: Labels, scores: Scores) -> float:
    """Return the mean squared difference between probability and outcome (Brier, 1950)."""
    return float(np.mean(np.square(np.asarray(scores, np.float64) - labels)))


def log_loss(labels: Labels, scores: Scores) -> float:
    """Return the mean negative log-likelihood, in nats; probabilities are held inside 1e-7 and 1 - 1e-7."""
    clipped = np.clip(np.asarray(scores, np.float64), _EPSILON, 1 - _EPSILON)
    return float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped))))


def log_odds(probability: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Return the natural logarithm of p / (1 - p), finite at 0 and 1."""
    clipped = np.clip(np.asarray(probability, dtype=np.float64), _EPSILON, 1 - _EPSILON)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float64)


def reliability(labels: Labels, scores: Scores, bins: int | None = None) -> NDArray[np.float64]:
    """Return one row a bin of equal mass: mean probability, share of positives, images.

    Returns:
        Shape [bins, 3], ascending; fewer rows if equal probabilities fill more than a bin.
    """
    if bins is None:
        bins = max(1, min(BINS, len(scores) // IN_A_BIN))
    order = np.argsort(scores, kind="stable")
    ordered, truth = np.asarray(scores, np.float64)[order], labels[order]
    cuts = np.cumsum([len(part) for part in np.array_split(order, max(1, min(bins, len(order))))])
    # Equal probabilities stay in one bin: the order of the images must not decide.
    ends = np.unique(np.searchsorted(ordered, ordered[cuts - 1], "right")).tolist() if len(order) else []
    groups = [slice(start, end) for start, end in pairwise([0, *ends])]
    rows = [[ordered[group].mean(), truth[group].mean(), group.stop - group.start] for group in groups]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


class SquaredGap(NamedTuple):
    """The mean squared gap over the bins."""

    plain: float
    # Less the variance of the bins' shares of melanomas; below 0 where chance explains more than was found.
    debiased: float


def squared_gap(labels: Labels, scores: Scores, bins: int | None = None) -> SquaredGap:
    """Return the mean squared gap between probability and share of melanomas, with and without what chance adds."""
    stated, share, images = reliability(labels, scores, bins).T
    gaps = np.square(stated - share)
    chance = share * (1 - share) / np.maximum(images - 1, 1)
    return SquaredGap(
        float(np.average(gaps, weights=images)), float(np.average(gaps - chance, weights=images))
    )


def calibration_error(labels: Labels, scores: Scores, bins: int | None = None) -> float:
    """Return how far stated probabilities lie from shares of melanomas, chance taken off; 0 if chance explains it all.

    Without ``bins`` there are 15, or fewer so that each holds 40 images.
    """
    return _root(squared_gap(labels, scores, bins).debiased)


def calibration_interval(found: SquaredGap, low: float, high: float) -> Interval:
    """Return the calibration error with a bootstrap interval.

    A resample holds the chance of its sample and its own, so that its debiased gap lies around the sample's plain one;
    that difference is taken off. For 222 and 898 images, calibrated or not, 92 to 100 % of the intervals of 0.95 covered.
    ``low`` and ``high`` are quantiles of the resamples' debiased gaps, drawn regardless of the labels: their share varies.
    """
    value, chance = _root(found.debiased), found.plain - found.debiased
    return Interval(value=value, low=min(_root(low - chance), value), high=max(_root(high - chance), value))


def _root(square: float) -> float:
    return math.sqrt(max(0.0, square))


def calibration_line(labels: Labels, scores: Scores, confidence: float = 0.95) -> CalibrationLine:
    """Return calibration intercept and slope with Wald intervals.

    Source: Cox, Biometrika 45 (1958) 562-565; calibration-in-the-large and slope as asked for by TRIPOD+AI
    (Van Calster et al., BMC Medicine 17 (2019) 230).
    """
    x = log_odds(scores)
    y = np.asarray(labels, np.float64)
    large = logistic_fit(np.ones((len(x), 1)), y, offset=x)
    both = logistic_fit(np.column_stack([np.ones(len(x)), x]), y, offset=np.zeros(len(x)))
    z = normal_quantile(confidence)
    return CalibrationLine(
        None if large is None else _wald(large[0][0], large[1][0, 0], z),
        None if both is None else _wald(both[0][1], both[1][1, 1], z),
    )


def logistic_fit(
    design: NDArray[np.float64], outcome: NDArray[np.float64], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return maximum-likelihood coefficients of a logistic regression and their covariance; None if there are none.

    The design has shape [n, k], the outcome (0 or 1) and the offset, added to the log-odds as it is, shape [n].
    """
    if not 0 < outcome.sum() < len(outcome):
        return None
    weights = np.zeros(design.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ weights + offset, -35, 35)))
        information = design.T @ (design * (p * (1 - p))[:, None])
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, design.T @ (outcome - p))
        # A full step may leap over the optimum where all probabilities are extreme.
        weights = weights + step * min(1.0, 2.0 / float(np.abs(step).max() + 1e-12))
        if float(np.abs(step).max()) < 1e-8:
            return weights, np.asarray(np.linalg.inv(information), np.float64)
    return None


def calibration_test(labels: Labels, scores: Scores) -> float | None:
    """Return the p-value of "every statement is true": intercept 0 and slope 1 together; None if undetermined.

    Likelihood-ratio test with two degrees of freedom (Cox, 1958; the unreliability test of Miller, Hui and Tierney,
    Statistics in Medicine 10 (1991) 1213-1226). It holds if answers were chosen for review by what was stated.
    """
    x, y = log_odds(scores), np.asarray(labels, np.float64)
    both = logistic_fit(np.column_stack([np.ones(len(x)), x]), y, offset=np.zeros(len(x)))
    if both is None:
        return None
    fitted = 1 / (1 + np.exp(-(both[0][0] + both[0][1] * x)))
    gain = len(x) * (log_loss(labels, np.asarray(scores, np.float64)) - log_loss(labels, fitted))
    # The tail of the chi-squared distribution with two degrees, beyond 2 * gain.
    return math.exp(-max(0.0, gain))


def _wald(value: float, variance: float, z: float) -> Interval:
    half = z * float(np.sqrt(variance))
    return Interval(value=float(value), low=float(value) - half, high=float(value) + half)
