"""Scores against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from components.trainer.export import scores

DRAW = np.random.default_rng(3)
TARGETS = (DRAW.random(400) < 0.2).astype(np.int64)
VALUES = np.round(np.clip(0.3 * TARGETS + DRAW.random(400) * 0.7, 0.01, 0.99), 2)


def test_auc_with_ties_log_loss_and_brier_agree_with_scikit_learn() -> None:
    assert scores.auc(TARGETS, VALUES) == pytest.approx(metrics.roc_auc_score(TARGETS, VALUES))
    assert scores.log_loss(TARGETS, VALUES) == pytest.approx(metrics.log_loss(TARGETS, VALUES))
    assert scores.brier(TARGETS, VALUES) == pytest.approx(metrics.brier_score_loss(TARGETS, VALUES))


def test_auc_needs_both_labels() -> None:
    with pytest.raises(ValueError, match="positives and negatives"):
        scores.auc(np.zeros(3, int), np.zeros(3))


def test_calibration_error_by_hand() -> None:
    targets = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    values = np.array([0.1] * 4 + [0.9] * 4)
    assert scores.calibration_error(targets, values, bins=2) == pytest.approx(0.5 * 0.15 + 0.5 * 0.15)


def test_false_negatives_are_counted_at_one_half() -> None:
    found = scores.scores(np.array([1, 1, 1, 0]), np.array([0.4, 0.5, 0.6, 0.1]))
    assert (found.false_negatives, found.positives) == (1, 3)


def test_wilson_interval() -> None:
    low, high = scores.wilson(45, 50)
    assert (low, high) == (pytest.approx(0.7864, abs=1e-3), pytest.approx(0.9565, abs=1e-3))
    assert scores.wilson(0, 0) == (0.0, 1.0)
