"""Measures of a binary classifier, and how sure they are, from labels and probabilities alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import rankdata

from components.trainer.export.scores import wilson

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]

CALIBRATION_BINS = 15


class Interval(BaseModel):
    """A measured value with its confidence interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def share(successes: int, total: int, confidence: float = 0.95) -> Interval:
    """Return a share with Wilson's score interval (Wilson, 1927): a bootstrap of 74 out of 74 has none.

    Of nothing it is NaN, from 0 to 1.
    """
    low, high = wilson(successes, total, confidence)
    return Interval(value=successes / total if total else float("nan"), low=low, high=high)


def share_of(right: NDArray[np.bool_], confidence: float = 0.95) -> Interval:
    """Return the share of what is true with Wilson's interval."""
    return share(int(right.sum()), len(right), confidence)


class Measures(BaseModel):
    """What a report says first of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    positives: int
    threshold: float
    auc: Interval
    sensitivity: Interval
    specificity: Interval
    ece: Interval = Field(description="expected calibration error, equal-mass bins")
    brier: Interval


def roc_auc(labels: Labels, scores: Scores) -> float:
    """Return the area under the ROC curve, ties counted half (Mann-Whitney U); NaN with one class only."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)
    above = float(ranks[labels == 1].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def brier(labels: Labels, scores: Scores) -> float:
    """Return the mean squared difference between probability and outcome (Brier, 1950)."""
    return float(np.mean((scores - labels) ** 2))


def reliability(labels: Labels, scores: Scores, bins: int = CALIBRATION_BINS) -> NDArray[np.float64]:
    """Return one row a bin of equal mass: mean probability, share of positives, images. Shape [bins, 3]."""
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, min(bins, len(order))) if len(group)]
    return np.array([[scores[g].mean(), labels[g].mean(), len(g)] for g in groups], dtype=np.float64)


def expected_calibration_error(labels: Labels, scores: Scores) -> float:
    """Return the mean gap between probability and share of positives, weighted by images (Naeini, 2015)."""
    rows = reliability(labels, scores)
    return float(np.average(np.abs(rows[:, 0] - rows[:, 1]), weights=rows[:, 2]))


def measure(
    labels: Labels, scores: Scores, threshold: float, *, samples: int, confidence: float, seed: int = 0
) -> Measures:
    """Measure everything: shares with Wilson's intervals, the rest with those of a stratified bootstrap.

    Args:
        labels: 0 or 1, shape [n].
        scores: probabilities, shape [n].
        threshold: positive where ``score >= threshold``.
        samples: bootstrap resamples.
        confidence: coverage of the intervals, e.g. 0.95.
        seed: of the resampling.
    """
    functions: dict[str, Callable[[Labels, Scores], float]] = {
        "auc": roc_auc,
        "ece": expected_calibration_error,
        "brier": brier,
    }
    random = np.random.default_rng(seed)
    classes = [np.flatnonzero(labels == value) for value in (0, 1)]
    drawn: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(samples):
        index = np.concatenate([random.choice(group, len(group)) for group in classes if len(group)])
        for name, function in functions.items():
            drawn[name].append(function(labels[index], scores[index]))
    tail = (1 - confidence) / 2
    intervals: dict[str, Any] = {}
    for name, function in functions.items():
        low, high = np.nanquantile(drawn[name], [tail, 1 - tail])
        intervals[name] = Interval(value=function(labels, scores), low=float(low), high=float(high))
    called = scores >= threshold
    intervals["sensitivity"] = share_of(called[labels == 1], confidence)
    intervals["specificity"] = share_of(~called[labels == 0], confidence)
    return Measures(images=len(labels), positives=int(labels.sum()), threshold=threshold, **intervals)
