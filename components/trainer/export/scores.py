"""Figures of a network on a split while it trains."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from core.measures import rates
from core.measures.auc import auc
from core.measures.calibration import log_loss


@dataclass(frozen=True)
class Scores:
    """Figures at one moment of training; false negatives are counted at a probability of 0.5."""

    auc: float
    log_loss: float
    false_negatives: int
    positives: int

    def as_dict(self) -> dict[str, float]:
        """The fields by name."""
        return asdict(self)


def scores(targets: rates.Labels, probabilities: rates.Scores) -> Scores:
    """Figures of uncalibrated or calibrated probabilities (each [n])."""
    positive = targets == 1
    return Scores(
        auc=auc(targets, probabilities),
        log_loss=log_loss(targets, probabilities),
        false_negatives=int(np.sum(positive & (probabilities < 0.5))),
        positives=int(positive.sum()),
    )
