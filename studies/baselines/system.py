"""What every surveyed system is to the comparison: a name, a source, and a way to be fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from studies.baselines.extract import Table

Floats = npt.NDArray[np.float64]
Scorer = Callable[[npt.NDArray[np.float32]], Floats]
"""float32 [n, figures] to a score a row, higher = more like melanoma."""


@dataclass(frozen=True)
class System:
    """One surveyed system.

    Attributes:
        name: as the table calls it.
        source: where it was published.
        sees: what it looks at, in words.
        fit: from the training and the eval table and a seed to a scorer; test is never shown.
        sensitivity: smallest on eval at its threshold; None = `threshold` is the published one.
        threshold: positive where the score is at least this.
    """

    name: str
    source: str
    sees: str
    fit: Callable[[Table, Table, int], Scorer]
    sensitivity: float | None = 0.90
    threshold: float | None = None


def standardised(values: npt.NDArray[np.float32], components: int | None = None, seed: int = 0) -> Pipeline:
    """Return a fitted transformer to standard figures, or to their first principal components.

    Ranks first: skewness and contrast have tails that would carry a linear system away.
    """
    steps: list[object] = [
        QuantileTransformer(
            output_distribution="normal", n_quantiles=min(200, len(values)), random_state=seed
        ),
        StandardScaler(),
    ]
    if components is not None:
        steps += [PCA(min(components, *values.shape), random_state=seed), StandardScaler()]
    return make_pipeline(*steps).fit(values)
