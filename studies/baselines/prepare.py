"""Standardised figures, for systems that measure distances or add up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler


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
