"""Figures of a binary classifier on a split: AUC, log-loss, errors, with intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]

_EPSILON = 1e-7


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


def scores(targets: Labels, probabilities: Floats) -> Scores:
    """Figures of uncalibrated or calibrated probabilities (each [n])."""
    positive = targets == 1
    return Scores(
        auc=auc(targets, probabilities),
        log_loss=log_loss(targets, probabilities),
        false_negatives=int(np.sum(positive & (probabilities < 0.5))),
        positives=int(positive.sum()),
    )


def auc(targets: Labels, values: Floats) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney U), ties counted half."""
    positive = targets == 1
    count, rest = int(positive.sum()), int((~positive).sum())
    if not count or not rest:
        raise ValueError("AUC needs positives and negatives")
    ranks = stats.rankdata(values)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * rest))


def log_loss(targets: Labels, probabilities: Floats) -> float:
    """Mean negative log-likelihood, in nats."""
    clipped = np.clip(np.asarray(probabilities, np.float64), _EPSILON, 1 - _EPSILON)
    return float(-np.mean(np.where(targets == 1, np.log(clipped), np.log1p(-clipped))))


def brier(targets: Labels, probabilities: Floats) -> float:
    """Mean squared difference between probability and label."""
    return float(np.mean(np.square(np.asarray(probabilities, np.float64) - targets)))


def calibration_error(targets: Labels, probabilities: Floats, bins: int = 15) -> float:
    """Expected calibration error over bins of equal width (Guo et al., ICML 2017)."""
    index = np.minimum((np.asarray(probabilities, np.float64) * bins).astype(int), bins - 1)
    error = 0.0
    for number in range(bins):
        inside = index == number
        if inside.any():
            gap = abs(float(probabilities[inside].mean()) - float(targets[inside].mean()))
            error += gap * float(inside.mean())
    return error


def wilson(successes: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share; (0, 1) where there is nothing to count."""
    if total == 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf(0.5 + level / 2))
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))
