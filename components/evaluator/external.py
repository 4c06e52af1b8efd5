"""External validation: a model measured on pictures of other cameras and clinics, beside its own test split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from components.evaluator.config import EvaluatorConfig, ExternalData
from components.evaluator.measured import from_predictions
from components.evaluator.predictions import Prediction, arrays
from core.measures.auc import auc_interval, compare_unpaired
from core.measures.calibration import calibration_line
from core.measures.rates import Interval, rate_of
from core.measures.summary import measure
from core.records.evaluation import EXTERNAL_FILE, EXTERNALS, External

REFUSED: Final = 0.5  # out_of_distribution is 1 if the model takes the image for no dermoscopy


def validate(
    data: ExternalData, elsewhere: Sequence[Prediction], here: Sequence[Prediction], config: EvaluatorConfig
) -> External:
    """Measure the model's answers to an external data set beside those to the own test split, `here`.

    Raises:
        ValueError: a data set holds one class only.
    """
    samples, confidence = config.bootstrap_samples, config.confidence
    labels, scores = arrays(elsewhere)
    try:
        found = measure(labels, scores, elsewhere[0].threshold, samples=samples, confidence=confidence)
    except ValueError:
        raise ValueError(
            f"external data set {data.name}: {int(labels.sum())} of {len(labels)} images are melanomas; "
            "both kinds are needed"
        ) from None
    test = compare_unpaired(arrays(here), (labels, scores), confidence)
    line = calibration_line(labels, scores, confidence)
    return External(
        name=data.name,
        data_version=data.data_version,
        images=len(labels),
        melanomas=int(labels.sum()),
        copies=len(data.copies),
        auc=auc_interval(labels, scores, confidence),
        drop=Interval(value=test.difference, low=test.low, high=test.high),
        drop_p=test.p,
        sensitivity=found.sensitivity,
        specificity=found.specificity,
        ece=found.ece,
        brier=found.brier,
        intercept=line.intercept,
        slope=line.slope,
        refused=rate_of(np.array([item.out_of_distribution >= REFUSED for item in elsewhere]), confidence),
        slices=tuple(item for item in from_predictions(elsewhere, config.slices) if ":" in item.slice),
    )


def save(found: Sequence[External], folder: Path) -> None:
    """Write the measures as JSON into ``folder``."""
    (folder / EXTERNAL_FILE).write_bytes(EXTERNALS.dump_json(tuple(found), indent=1) + b"\n")
