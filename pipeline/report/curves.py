"""Curves and tables of a binary classifier, from labels and probabilities alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluator.metrics import Labels, Scores

Curve = NDArray[np.float64]

BAND_SAMPLES = 300
BAND_GRID = 101


def roc(labels: Labels, scores: Scores) -> Curve:
    """Return the ROC curve as rows (1 - specificity, sensitivity), corners only. Shape [k, 2]."""
    found, alarms = _cumulative(labels, scores)
    points = np.column_stack([alarms / alarms[-1], found / found[-1]])
    return _corners(points)


def precision_recall(labels: Labels, scores: Scores) -> Curve:
    """Return the precision-recall curve as rows (sensitivity, positive predictive value). Shape [k, 2]."""
    found, alarms = _cumulative(labels, scores)
    found, alarms = found[1:], alarms[1:]
    points = np.column_stack([found / found[-1], found / (found + alarms)])
    return np.vstack([[0.0, points[0, 1]], points])


def average_precision(labels: Labels, scores: Scores) -> float:
    """Return the area under the precision-recall curve, as a step function."""
    points = precision_recall(labels, scores)
    return float(np.sum(np.diff(points[:, 0]) * points[1:, 1]))


def roc_band(labels: Labels, scores: Scores, confidence: float, seed: int = 0) -> Curve:
    """Return a pointwise stratified bootstrap band of the ROC curve.

    Returns:
        Rows (1 - specificity, low, high), shape [BAND_GRID, 3].
    """
    random = np.random.default_rng(seed)
    grid = np.linspace(0, 1, BAND_GRID)
    classes = [np.flatnonzero(labels == value) for value in (0, 1)]
    drawn = np.empty((BAND_SAMPLES, BAND_GRID))
    for row in range(BAND_SAMPLES):
        index = np.concatenate([random.choice(group, len(group)) for group in classes])
        points = roc(labels[index], scores[index])
        # At a jump the higher sensitivity counts, as on the curve itself.
        last = np.searchsorted(points[:, 0], grid, side="right") - 1
        drawn[row] = points[last, 1]
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return np.column_stack([grid, low, high])


@dataclass(frozen=True)
class ThresholdRow:
    """What happens when everything at or above one probability is referred."""

    threshold: float
    role: str
    true_positives: int
    false_positives: int
    positives: int
    negatives: int

    @property
    def sensitivity(self) -> float:
        """Melanomas referred, by melanomas."""
        return self.true_positives / self.positives

    @property
    def specificity(self) -> float:
        """Other lesions cleared, by other lesions."""
        return 1 - self.false_positives / self.negatives

    @property
    def positive_predictive_value(self) -> float | None:
        """Melanomas among the referred; None when nothing is referred."""
        referred = self.true_positives + self.false_positives
        return self.true_positives / referred if referred else None

    @property
    def negative_predictive_value(self) -> float | None:
        """Other lesions among the cleared; None when nothing is cleared."""
        missed = self.positives - self.true_positives
        cleared = self.negatives - self.false_positives
        return cleared / (cleared + missed) if cleared + missed else None

    @property
    def missed_per_1000(self) -> float:
        """Missed melanomas in 1,000 lesions like those of the split."""
        return 1000 * (self.positives - self.true_positives) / (self.positives + self.negatives)

    @property
    def false_alarms_per_1000(self) -> float:
        """False alarms in 1,000 lesions like those of the split."""
        return 1000 * self.false_positives / (self.positives + self.negatives)

    def predictive_values_at(self, prevalence: float) -> tuple[float | None, float | None]:
        """Return positive and negative predictive value where melanomas are this share of all lesions."""
        hit, clear = self.sensitivity * prevalence, self.specificity * (1 - prevalence)
        alarm, miss = (1 - self.specificity) * (1 - prevalence), (1 - self.sensitivity) * prevalence
        return (
            hit / (hit + alarm) if hit + alarm else None,
            clear / (clear + miss) if clear + miss else None,
        )


def threshold_row(labels: Labels, scores: Scores, threshold: float, role: str = "") -> ThresholdRow:
    """Count what one threshold decides."""
    referred = scores >= threshold
    positives = int(labels.sum())
    return ThresholdRow(
        threshold=threshold,
        role=role,
        true_positives=int((referred & (labels == 1)).sum()),
        false_positives=int((referred & (labels == 0)).sum()),
        positives=positives,
        negatives=len(labels) - positives,
    )


def threshold_table(
    labels: Labels, scores: Scores, thresholds: Iterable[float], named: Iterable[tuple[float, str]]
) -> list[ThresholdRow]:
    """Return one row a threshold, ascending; ``named`` ones carry their role."""
    rows = [threshold_row(labels, scores, value, role) for value, role in named]
    taken = [row.threshold for row in rows]
    rows += [
        threshold_row(labels, scores, value)
        for value in thresholds
        # A round number beside the operating point that says the same twice is left out.
        if all(abs(value - other) > 0.05 * value for other in taken)
    ]
    return sorted(rows, key=lambda row: row.threshold)


def log_odds_histogram(
    labels: Labels, scores: Scores, edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of other lesions and of melanomas between each two of ``edges`` (log-odds)."""
    values = np.clip(log_odds(scores), edges[0], np.nextafter(edges[-1], -np.inf))
    shares = []
    for value in (0, 1):
        members = values[labels == value]
        counts, _ = np.histogram(members, edges)
        shares.append(counts / max(1, len(members)))
    return shares[0], shares[1]


def log_odds(probability: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return the natural logarithm of p / (1 - p), finite at 0 and 1."""
    clipped = np.clip(np.asarray(probability, dtype=np.float64), 1e-7, 1 - 1e-7)
    return np.log(clipped / (1 - clipped))


def _cumulative(labels: Labels, scores: Scores) -> tuple[Curve, Curve]:
    """Return found melanomas and false alarms, from no threshold met to all, one entry a distinct score."""
    order = np.argsort(-scores, kind="stable")
    ordered, truth = scores[order], labels[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    found = np.concatenate([[0.0], np.cumsum(truth)[last].astype(np.float64)])
    alarms = np.concatenate([[0.0], np.cumsum(1 - truth)[last].astype(np.float64)])
    return found, alarms


def _corners(points: Curve) -> Curve:
    """Drop points on a straight line between their neighbours; the picture is the same."""
    if len(points) < 3:
        return points
    steps = np.diff(points, axis=0)
    cross = steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]
    return points[np.concatenate([[True], np.abs(cross) > 1e-15, [True]])]
