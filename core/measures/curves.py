"""ROC and precision-recall curves with their bands, and histograms of the log-odds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.measures.calibration import log_odds
from core.measures.rates import Labels, Scores, bounds, resamples

Curve = NDArray[np.float64]

BAND_SAMPLES = 300
BAND_GRID = 101
_GRID = np.linspace(0, 1, BAND_GRID)


def roc(labels: Labels, scores: Scores) -> Curve:
    """Return the ROC curve as rows (1 - specificity, sensitivity), corners only, of both classes. Shape [k, 2]."""
    found, alarms = _cumulative(labels, scores)
    return _corners(np.column_stack([alarms / alarms[-1], found / found[-1]]))


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


def roc_band(labels: Labels, scores: Scores, confidence: float = 0.95, seed: int = 0) -> Curve:
    """Return a pointwise stratified bootstrap band: rows (1 - specificity, low, high), shape [BAND_GRID, 3]."""
    return _band(labels, scores, confidence, seed, lambda drawn, truth: _at(roc(truth, drawn), _GRID))


def precision_recall_band(labels: Labels, scores: Scores, confidence: float = 0.95, seed: int = 0) -> Curve:
    """Return a pointwise stratified bootstrap band: rows (sensitivity, low, high), shape [BAND_GRID, 3]."""

    def precision(drawn: Scores, truth: Labels) -> NDArray[np.float64]:
        points = precision_recall(truth, drawn)
        # The next threshold that reaches this sensitivity.
        reached = np.searchsorted(points[:, 0], _GRID - 1e-12, "left")
        return np.asarray(points[np.minimum(reached, len(points) - 1), 1])

    return _band(labels, scores, confidence, seed, precision)


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


def _band(
    labels: Labels,
    scores: Scores,
    confidence: float,
    seed: int,
    curve: Callable[[Scores, Labels], NDArray[np.float64]],
) -> Curve:
    drawn = [curve(scores[index], labels[index]) for index in resamples(labels, BAND_SAMPLES, seed)]
    low, high = bounds(drawn, confidence)
    return np.column_stack([_GRID, low, high])


def _at(points: Curve, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the curve's height; at a jump the higher one counts, as on the curve itself."""
    last = np.searchsorted(points[:, 0], grid, side="right") - 1
    return np.asarray(points[last, 1])


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
    return np.asarray(points[np.concatenate([[True], np.abs(cross) > 1e-15, [True]])])
