"""Measures of a binary classifier from labels and probabilities, with how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]
Z = 1.959964  # 95 %
GRID = np.linspace(0, 1, 101)
RESAMPLES = 200
BINS = 10


class Interval(BaseModel):
    """A value with its 95 % confidence interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float


class Zones(BaseModel):
    """What three zones would mean for 1,000 people like those of the test split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low_below: float = Field(description="probabilities below this lie in the low zone")
    refer_from: float = Field(description="probabilities from this on are referred")
    found: float = Field(description="melanomas referred, per 1,000 people")
    reviewed: float = Field(description="melanomas in the review zone, per 1,000")
    missed: float = Field(description="melanomas in the low zone, per 1,000")
    needless: float = Field(description="other lesions referred, per 1,000")
    looked_at: float = Field(description="other lesions in the review zone, per 1,000")
    cleared: float = Field(description="other lesions in the low zone, per 1,000")


class Confusion(BaseModel):
    """Counts at one threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int
    sensitivity: Interval | None
    specificity: Interval | None
    precision: Interval | None


@dataclass(frozen=True)
class Curves:
    """ROC and precision-recall with bands; the grid is 0 to 1 in hundredths."""

    auc: Interval
    average_precision: Interval
    roc: NDArray[np.float64]  # [101] sensitivity at each false-positive rate
    roc_low: NDArray[np.float64]
    roc_high: NDArray[np.float64]
    precision: NDArray[np.float64]  # [101] precision at each recall
    precision_low: NDArray[np.float64]
    precision_high: NDArray[np.float64]


def wilson(part: int, whole: int) -> Interval | None:
    """A share with Wilson's score interval; None of nothing."""
    if whole <= 0:
        return None
    share = part / whole
    centre = (share + Z * Z / (2 * whole)) / (1 + Z * Z / whole)
    half = Z / (1 + Z * Z / whole) * math.sqrt(share * (1 - share) / whole + Z * Z / (4 * whole * whole))
    return Interval(value=share, low=max(0.0, centre - half), high=min(1.0, centre + half))


def auc(labels: Labels, scores: Scores) -> float | None:
    """Area under the ROC curve, ties counted half; None with one class only."""
    positives, negatives = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    if not len(positives) or not len(negatives):
        return None
    below = np.searchsorted(negatives, positives, "left")
    equal = np.searchsorted(negatives, positives, "right") - below
    return float((below + equal / 2).sum() / (len(positives) * len(negatives)))


def auc_interval(labels: Labels, scores: Scores) -> Interval | None:
    """AUC with DeLong's interval on the logit scale (DeLong 1988; Sun & Xu 2014); None with one class only."""
    value = auc(labels, scores)
    positives, negatives = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    m, n = len(positives), len(negatives)
    if value is None or m < 2 or n < 2:
        return None if value is None else Interval(value=value, low=0.0, high=1.0)

    def placed(values: Scores, among: Scores) -> Scores:
        return (np.searchsorted(among, values, "left") + np.searchsorted(among, values, "right")) / (
            2 * len(among)
        )

    spread = placed(positives, negatives).var(ddof=1) / m + placed(negatives, positives).var(ddof=1) / n
    if value in (0.0, 1.0) or spread == 0:
        # Without spread DeLong says certainty; the rule of three does not.
        edge = 1 - 0.05 ** (1 / min(m, n))
        return Interval(value=value, low=max(0.0, value - edge), high=min(1.0, value + edge))
    logit, half = math.log(value / (1 - value)), Z * math.sqrt(spread) / (value * (1 - value))
    return Interval(value=value, low=_logistic(logit - half), high=_logistic(logit + half))


def curves(labels: Labels, scores: Scores, seed: int = 0) -> Curves | None:
    """Both curves with bands from a stratified bootstrap; None with one class only."""
    area = auc_interval(labels, scores)
    if area is None:
        return None
    random = np.random.default_rng(seed)
    # Descending scores, so that counts from the left are "at least this score".
    positives = np.sort(scores[labels == 1])
    negatives = np.sort(scores[labels == 0])
    roc, precision, average = _curve(positives, negatives)
    rocs, precisions, averages = [], [], []
    for _ in range(RESAMPLES):
        drawn = _curve(
            np.sort(random.choice(positives, len(positives))),
            np.sort(random.choice(negatives, len(negatives))),
        )
        rocs.append(drawn[0])
        precisions.append(drawn[1])
        averages.append(drawn[2])
    roc_low, roc_high = np.quantile(rocs, [0.025, 0.975], axis=0)
    precision_low, precision_high = np.quantile(precisions, [0.025, 0.975], axis=0)
    low, high = np.quantile(averages, [0.025, 0.975])
    return Curves(
        area,
        Interval(value=average, low=float(low), high=float(high)),
        roc,
        roc_low,
        roc_high,
        precision,
        precision_low,
        precision_high,
    )


def _curve(positives: Scores, negatives: Scores) -> tuple[Scores, Scores, float]:
    """Sensitivity on the grid of false-positive rates, precision on the grid of recalls, average precision."""
    m, n = len(positives), len(negatives)
    thresholds = positives[::-1]
    recall = np.arange(1, m + 1) / m
    above = n - np.searchsorted(negatives, thresholds, "left")
    precision = np.arange(1, m + 1) / (np.arange(1, m + 1) + above)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    on_recall = envelope[np.minimum(np.searchsorted(recall, GRID - 1e-12, "left"), m - 1)]
    fpr = np.concatenate([[0.0], above / n, [1.0]])
    tpr = np.concatenate([[0.0], recall, [1.0]])
    return np.interp(GRID, fpr, tpr), on_recall, float(precision.mean())


def confusion(labels: Labels, scores: Scores, threshold: float) -> Confusion:
    """Counts where `score >= threshold` is called melanoma."""
    called = scores >= threshold
    tp = int((called & (labels == 1)).sum())
    fp = int((called & (labels == 0)).sum())
    fn = int((labels == 1).sum()) - tp
    tn = int((labels == 0).sum()) - fp
    return Confusion(
        true_positives=tp,
        false_negatives=fn,
        false_positives=fp,
        true_negatives=tn,
        sensitivity=wilson(tp, tp + fn),
        specificity=wilson(tn, tn + fp),
        precision=wilson(tp, tp + fp),
    )


def zones(labels: Labels, scores: Scores, low_below: float, refer_from: float) -> Zones:
    """The three zones' consequences per 1,000."""
    scale = 1000 / max(1, len(labels))
    low, refer = scores < low_below, scores >= refer_from
    melanoma = labels == 1

    def per(mask: NDArray[np.bool_]) -> float:
        return round(float(mask.sum()) * scale, 2)

    return Zones(
        low_below=low_below,
        refer_from=refer_from,
        found=per(melanoma & refer),
        reviewed=per(melanoma & ~refer & ~low),
        missed=per(melanoma & low & ~refer),
        needless=per(~melanoma & refer),
        looked_at=per(~melanoma & ~refer & ~low),
        cleared=per(~melanoma & low & ~refer),
    )


def reliability(labels: Labels, scores: Scores, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Bins of equal mass: mean probability, share of melanomas, images."""
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, min(bins, len(order))) if len(group)]
    return [(float(scores[g].mean()), float(labels[g].mean()), len(g)) for g in groups]


def calibration_error(labels: Labels, scores: Scores) -> float | None:
    """Expected calibration error over bins of equal mass (Naeini 2015)."""
    rows = reliability(labels, scores, 15)
    return sum(abs(p - s) * n for p, s, n in rows) / len(labels) if len(labels) else None


def brier(labels: Labels, scores: Scores) -> float | None:
    """Mean squared difference between probability and outcome (Brier 1950)."""
    return float(np.mean((scores - labels) ** 2)) if len(labels) else None


def psi(reference: Scores, seen: Scores) -> float | None:
    """Population stability index of two histograms; below 0.1 steady, above 0.25 shifted.

    To every bin of the reference half a count is added, to every bin of the other half a count times its share there:
    an empty bin does not decide alone, and equal shares stay near 0 however few were seen.
    """
    if reference.sum() <= 0 or seen.sum() <= 0:
        return None
    expected = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
    weight = 0.5 * len(seen)
    actual = (seen + weight * expected) / (seen.sum() + weight)
    return float(((actual - expected) * np.log(actual / expected)).sum())


def kolmogorov_smirnov(reference: Scores, seen: Scores) -> tuple[float, float] | None:
    """Largest distance of two histograms' cumulative shares, and its p-value (asymptotic).

    Counts in bins hide differences inside a bin, so the distance is a lower bound.
    """
    m, n = float(reference.sum()), float(seen.sum())
    if m <= 0 or n <= 0:
        return None
    distance = float(np.abs(np.cumsum(reference) / m - np.cumsum(seen) / n).max())
    scaled = distance * (math.sqrt(m * n / (m + n)) + 0.12 + 0.11 / math.sqrt(m * n / (m + n)))
    if scaled < 0.2:
        return distance, 1.0
    p = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101))
    return distance, min(1.0, max(0.0, p))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
