"""The network trained by back-propagation: gradient descent with momentum.

Source: Jaleel, Salim, Aswin, "Artificial neural network based detection of skin cancer", International Journal
of Advanced Research in Electrical, Electronics and Instrumentation Engineering 1 (2012) 200-205; the rule itself:
Rumelhart, Hinton, Williams, Nature 323 (1986) 533-536.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.measures.auc import auc
from studies.baselines.extract import Table
from studies.baselines.perceptron import task
from studies.baselines.system import Scorer, System

_BATCH: Final = 64
_EPOCHS: Final = 150
_PATIENCE: Final = 25  # epochs without a better AUC on eval
_RATE: Final = 0.05
_MOMENTUM: Final = 0.9


def _fit(train: Table, evaluation: Table, seed: int) -> Scorer:
    given = task(train, seed)
    draw = np.random.default_rng(seed)
    weights = draw.normal(0, 1 / np.sqrt(given.network.inputs), given.network.size)
    speed = np.zeros_like(weights)
    best, best_auc, waited = weights.copy(), -1.0, 0
    for epoch in range(_EPOCHS):
        order = draw.permutation(len(given.targets))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            gradient = given.network.gradient(
                weights, given.values[rows], given.targets[rows], given.importance[rows]
            )
            speed = _MOMENTUM * speed - _RATE * (1 - epoch / _EPOCHS) * gradient
            weights = weights + speed
        found = auc(evaluation.targets, given.scorer(weights)(evaluation.values))
        waited += 1
        if found > best_auc:
            best, best_auc, waited = weights.copy(), found, 0
        if waited >= _PATIENCE:
            break
    return given.scorer(best)


SYSTEM = System(
    name="network, back-propagation",
    source="Jaleel, Salim, Aswin, IJAREEIE 1 (2012) 200-205",
    sees="Otsu mask, ABCD, GLCM, colour",
    fit=_fit,
)
