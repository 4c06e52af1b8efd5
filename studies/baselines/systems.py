"""The surveyed systems that are fitted to figures: the ABCD rule's score, a linear discriminant, k nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from core.measures.auc import auc
from studies.baselines import figures
from studies.baselines.extract import Table
from studies.baselines.figures import TOTAL

Floats = npt.NDArray[np.float64]
Scorer = Callable[[npt.NDArray[np.float32]], Floats]
"""float32 [n, figures] to a score a row, higher = more like melanoma."""


@dataclass(frozen=True)
class System:
    """One surveyed system."""

    name: str  # as the table calls it
    source: str  # where it was published
    # From the training and the eval table and a seed to a scorer; test is never shown.
    fit: Callable[[Table, Table, int], Scorer]
    sees: str = "Otsu mask, ABCD, GLCM, colour"  # what it looks at, in words
    # Smallest on eval at its threshold; None = `threshold` is the published one.
    sensitivity: float | None = 0.90
    threshold: float | None = None  # positive where the score is at least this


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


_ABCD = "Nachbar et al., J Am Acad Dermatol 30 (1994) 551-559"


def _total_score(train: Table, evaluation: Table, seed: int) -> Scorer:  # noqa: ARG001 - one signature for all
    return lambda values: values[:, TOTAL].astype(np.float64)


PUBLISHED = System(
    name=f"ABCD rule, total score above {figures.MELANOMA}",
    source=_ABCD,
    sees="Otsu mask, ABCD",
    fit=_total_score,
    sensitivity=None,
    # "Above": the score moves in steps of a twentieth, so half a step is the same in floats.
    threshold=figures.MELANOMA + 0.025,
)
FITTED = System(
    name="ABCD rule, threshold for 90 % sensitivity", source=_ABCD, sees="Otsu mask, ABCD", fit=_total_score
)


# A linear discriminant with its threshold fixed for 95 % sensitivity.
#
# Source: Burroni et al., "Melanoma computer-aided diagnosis: reliability and feasibility study", Clinical Cancer
# Research 10 (2004) 1881-1886: 95 % sensitivity for the linear classifier, 98 % for k nearest neighbours.


def _fit_linear(train: Table, evaluation: Table, seed: int) -> Scorer:  # noqa: ARG001 - one signature for all
    prepared = standardised(train.values, seed=seed)
    # Equal priors: the threshold is chosen afterwards, and rare melanomas still shape the axis.
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
    model.fit(prepared.transform(train.values), train.targets)
    return lambda values: np.asarray(model.predict_proba(prepared.transform(values))[:, 1])


LINEAR = System(
    name="linear discriminant, 95 % sensitivity",
    source="Burroni et al., Clin Cancer Res 10 (2004) 1881-1886",
    fit=_fit_linear,
    sensitivity=0.95,
)


# k nearest neighbours with the threshold fixed for 98 % sensitivity.
#
# Source: Burroni et al., Clinical Cancer Research 10 (2004) 1881-1886; 24 neighbours after Ganster et al., IEEE
# Transactions on Medical Imaging 20 (2001) 233-239, here chosen on eval.

_CHOICES: Final = (8, 24, 72, 216)


def _fit_neighbours(train: Table, evaluation: Table, seed: int) -> Scorer:
    prepared = standardised(train.values, components=24, seed=seed)
    inputs = prepared.transform(train.values)
    share = {0: 1 / max(1, int((train.targets == 0).sum())), 1: 1 / max(1, int(train.targets.sum()))}

    def scorer(neighbours: int) -> Scorer:
        model = KNeighborsClassifier(neighbours).fit(inputs, train.targets)

        def score(values: np.ndarray) -> Floats:
            distance, index = model.kneighbors(prepared.transform(values))
            labels = train.targets[index]
            # A neighbour counts the more the nearer it is and the rarer its class.
            weight = np.where(labels == 1, share[1], share[0]) / (distance + 1e-3)
            return np.asarray((weight * labels).sum(axis=1) / weight.sum(axis=1))

        return score

    possible = [k for k in _CHOICES if k <= len(train.targets)] or [1]
    tried = {k: auc(evaluation.targets, scorer(k)(evaluation.values)) for k in possible}
    return scorer(max(tried, key=lambda k: tried[k]))


NEIGHBOURS = System(
    name="k nearest neighbours, 98 % sensitivity",
    source="Burroni et al., Clin Cancer Res 10 (2004) 1881-1886",
    fit=_fit_neighbours,
    sensitivity=0.98,
)
