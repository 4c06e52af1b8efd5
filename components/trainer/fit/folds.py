"""Grouped folds of train: members that left a part out, and how they do on what they never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from components.trainer.config import TrainerConfig
from components.trainer.data.records import DataError
from core.measures import operating_point
from core.measures.auc import auc
from core.measures.calibration import calibration_interval, squared_gap
from core.measures.rates import Labels

Scores = npt.NDArray[np.floating]
Measure = Callable[[Labels, Scores], float]

_RESAMPLES: Final = 1000
_TAIL: Final = 0.025  # 95 % intervals
_SENSITIVITY: Final = 0.90  # whatever a run's own operating point is, so that runs can be compared


def split(groups: Sequence[str], targets: Labels, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Number of the fold each image is left out of (int64 [n]); a group lies in one fold.

    Raises:
        DataError: too few groups with a positive for so many folds.
    """
    pairs = set(zip(groups, targets.tolist(), strict=True))
    negative, positive = (sum(target == label for _, target in pairs) for label in (0, 1))
    if min(positive, negative) < count:
        raise DataError(
            f"folds={count}: train has positives in {positive} and negatives in {negative} groups; every fold "
            f"needs one of each, so give at most {min(positive, negative)} folds"
        )
    numbers = np.empty(len(targets), np.int64)
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for number, (_, left_out) in enumerate(folds.split(targets, targets, np.asarray(groups))):
        numbers[left_out] = number
    if any(len(set(targets[numbers == number].tolist())) < 2 for number in range(count)):
        raise DataError(f"folds={count}: a fold has labels of one kind only; give fewer folds")
    return numbers


@dataclass(frozen=True)
class Fold:
    """Which of several trainings of one run this is: its stages are counted on from those before it."""

    number: int
    name: str

    def stages(self, config: TrainerConfig) -> range:
        """Return the numbers of its stages in the run's history."""
        count = len(config.stages)
        return range(self.number * count, (self.number + 1) * count)


NO_FOLD: Final = Fold(0, "")


@dataclass(frozen=True)
class OutOfFold:
    """Answers to training images by members that were not trained on them."""

    class_probabilities: npt.NDArray[np.float32]  # [n, classes], not calibrated
    folds: npt.NDArray[np.int64]  # [n], which fold left the image out
    groups: tuple[str, ...]


def figures(found: OutOfFold, targets: Labels, probabilities: Scores, seed: int) -> dict[str, Any]:
    """Cross-validated figures over all images, each with a 95 % bootstrap interval over groups; the AUC by fold, too.

    The members are selected on eval, never on the fold they left out. `specificity` is that at the sensitivity
    `wanted_sensitivity` on these images.
    """
    measures: dict[str, Measure] = {"auc": auc, "specificity": specificity}
    gap = squared_gap(targets, probabilities)
    resampled = {**measures, "gap": lambda labels, scores: squared_gap(labels, scores).debiased}
    intervals = bootstrap(found.groups, targets, probabilities, resampled, seed)
    calibration = calibration_interval(gap, *intervals.pop("gap"))
    count = int(found.folds.max()) + 1
    return {
        **{name: measure(targets, probabilities) for name, measure in measures.items()},
        **{f"{name}_interval": list(interval) for name, interval in intervals.items()},
        "calibration_error": calibration.value,
        "calibration_error_interval": [calibration.low, calibration.high],
        "wanted_sensitivity": _SENSITIVITY,
        "auc_by_fold": [
            auc(targets[found.folds == k], probabilities[found.folds == k]) for k in range(count)
        ],
        "images": len(targets),
        "positives": int(targets.sum()),
    }


def specificity(targets: Labels, probabilities: Scores) -> float:
    """The highest specificity whose sensitivity is at least 0.90."""
    return operating_point.choose(targets, probabilities, _SENSITIVITY).specificity


def bootstrap(
    groups: Sequence[str],
    targets: Labels,
    probabilities: Scores,
    measures: Mapping[str, Measure],
    seed: int,
) -> dict[str, tuple[float, float]]:
    """95 % percentile interval of each measure; whole groups are drawn, with replacement."""
    draw = np.random.default_rng(seed)
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(index.max() + 2))
    members = [order[starts[i] : starts[i + 1]] for i in range(index.max() + 1)]
    values: list[list[float]] = []
    while len(values) < _RESAMPLES:
        rows = np.concatenate([members[i] for i in draw.integers(0, len(members), len(members))])
        if 0 < targets[rows].sum() < len(rows):
            values.append([measure(targets[rows], probabilities[rows]) for measure in measures.values()])
    low, high = np.quantile(values, [_TAIL, 1.0 - _TAIL], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(measures)}
