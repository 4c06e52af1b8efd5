"""Figures during training."""

from __future__ import annotations

import numpy as np

from components.trainer.fit.history import scores


def test_false_negatives_are_counted_at_one_half() -> None:
    found = scores(np.array([1, 1, 1, 0]), np.array([0.4, 0.5, 0.6, 0.1]))
    assert (found.figures["false_negatives"], found.figures["positives"]) == (1, 3)
