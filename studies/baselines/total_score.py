"""The ABCD rule's total score as a classifier: nothing is learnt."""

from __future__ import annotations

import numpy as np

from studies.baselines import abcd
from studies.baselines.describe import TOTAL
from studies.baselines.extract import Table
from studies.baselines.system import Scorer, System

_SOURCE = "Nachbar et al., J Am Acad Dermatol 30 (1994) 551-559"


def _fit(train: Table, evaluation: Table, seed: int) -> Scorer:  # noqa: ARG001 - one signature for all
    return lambda values: values[:, TOTAL].astype(np.float64)


PUBLISHED = System(
    name=f"ABCD rule, total score above {abcd.MELANOMA}",
    source=_SOURCE,
    sees="Otsu mask, ABCD",
    fit=_fit,
    sensitivity=None,
    # "Above": the score moves in steps of a twentieth, so half a step is the same in floats.
    threshold=abcd.MELANOMA + 0.025,
)
FITTED = System(
    name="ABCD rule, threshold for 90 % sensitivity", source=_SOURCE, sees="Otsu mask, ABCD", fit=_fit
)
