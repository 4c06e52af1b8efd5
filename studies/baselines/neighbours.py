"""k nearest neighbours with the threshold fixed for 98 % sensitivity.

Source: Burroni et al., Clinical Cancer Research 10 (2004) 1881-1886; 24 neighbours after Ganster et al., IEEE
Transactions on Medical Imaging 20 (2001) 233-239, here chosen on eval.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from core.measures.auc import auc
from studies.baselines.extract import Table
from studies.baselines.system import Floats, Scorer, System, standardised

_CHOICES: Final = (8, 24, 72, 216)


def _fit(train: Table, evaluation: Table, seed: int) -> Scorer:
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


SYSTEM = System(
    name="k nearest neighbours, 98 % sensitivity",
    source="Burroni et al., Clin Cancer Res 10 (2004) 1881-1886",
    sees="Otsu mask, ABCD, GLCM, colour",
    fit=_fit,
    sensitivity=0.98,
)
