"""Fits a model's statements to the pictures of one clinic: calibration anew, network untouched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.measures.calibration import log_odds, logistic_fit
from core.measures.rates import Labels, Scores, normal_quantile, wilson

# Ten of the rarer class for each fitted number (Peduzzi et al., J Clin Epidemiol 49 (1996) 1373-1379).
FOR_A_LINE, FOR_A_SHIFT = 20, 5


@dataclass(frozen=True)
class Recalibration:
    """A map of stated probabilities: sigmoid(scale * log-odds + shift)."""

    kind: Literal["line", "shift"]  # a shift moves the prior alone: scale is 1
    scale: float  # above 0, so that ranks and the AUC stay
    shift: float

    def __call__(self, probabilities: Scores) -> NDArray[np.float64]:
        """Return the recalibrated probabilities."""
        return np.asarray(1 / (1 + np.exp(-(self.scale * log_odds(probabilities) + self.shift))), np.float64)


def fit(labels: Labels, scores: Scores) -> Recalibration:
    """Return the map that makes statements true on these images.

    With 20 melanomas and 20 others a line is fitted (Platt scaling of the stated log-odds), with fewer the prior
    alone is shifted. Raises ValueError for fewer than 5 of a class.
    """
    positives = int((labels == 1).sum())
    rarer = min(positives, len(labels) - positives)
    if rarer < FOR_A_SHIFT:
        raise ValueError(
            f"{positives} melanomas and {len(labels) - positives} others to fit on; at least {FOR_A_SHIFT} of each "
            f"are needed for a shift of the prior, {FOR_A_LINE} for a calibration"
        )
    odds, outcome = log_odds(scores), np.asarray(labels, np.float64)
    if rarer >= FOR_A_LINE:
        found = logistic_fit(np.column_stack([odds, np.ones(len(odds))]), outcome, np.zeros(len(odds)))
        # A slope of nothing or less would turn the ranks around: then the prior is all that these images tell.
        if found is not None and found[0][0] > 0:
            return Recalibration("line", float(found[0][0]), float(found[0][1]))
    shifted = logistic_fit(np.ones((len(odds), 1)), outcome, odds)
    if shifted is None:
        raise ValueError("the prior cannot be fitted: the stated probabilities are all alike or extreme")
    return Recalibration("shift", 1.0, float(shifted[0][0]))


def half_width(rate: float, count: int, confidence: float = 0.95) -> float:
    """Return how far a rate of ``count`` lesions is known: half of Wilson's interval."""
    spread = wilson(round(rate * count), count, confidence)
    return 0.5 if spread is None else (spread.high - spread.low) / 2


def needed(rate: float, wanted: float, confidence: float = 0.95) -> int:
    """Return how many lesions it takes to know a rate to +-``wanted``: Wilson's interval solved for its count."""
    count = max(1, round(normal_quantile(confidence) ** 2 * rate * (1 - rate) / wanted**2) // 2)
    while half_width(rate, count, confidence) > wanted:
        count += max(1, count // 50)
    return count
