"""Folds with equal shares of both labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def folds(targets: npt.NDArray[np.int64], count: int, seed: int) -> list[tuple[Indices, Indices]]:
    """Return (training rows, held-out rows) of each fold; every row is held out once.

    Raises:
        ValueError: a label has fewer rows than there are folds.
    """
    draw = np.random.default_rng(seed)
    place = np.empty(len(targets), np.int64)
    for target in np.unique(targets):
        rows = np.flatnonzero(targets == target)
        if len(rows) < count:
            raise ValueError(
                f"{count} folds need {count} images of each label, there are {len(rows)} of label {target}"
            )
        place[draw.permutation(rows)] = np.arange(len(rows)) % count
    return [(np.flatnonzero(place != fold), np.flatnonzero(place == fold)) for fold in range(count)]
