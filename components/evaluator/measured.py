"""Metrics computed once from single answers: of the test split by slice, and of data sets from elsewhere beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import TypeAdapter

from components.evaluator.config import EvaluatorConfig, ExternalData
from components.evaluator.predictions import Prediction, arrays
from components.evaluator.predictions import load as load_predictions
from core.measures.auc import auc, compare_unpaired, partial_auc
from core.measures.calibration import calibration_line
from core.measures.curves import average_precision
from core.measures.rates import Interval, confusion, rate_of
from core.measures.summary import measure
from core.records.evaluation import EXTERNAL_FILE, EXTERNALS, External, SliceMetrics
from core.records.verdict import OVERALL

FILE_NAME: Final = "slices.json"
REFUSED: Final = 0.5  # out_of_distribution is 1 if the model takes the image for no dermoscopy

_SLICES: Final = TypeAdapter(tuple[SliceMetrics, ...])


def from_predictions(predictions: Sequence[Prediction], features: Sequence[str]) -> tuple[SliceMetrics, ...]:
    """Measure single predictions, overall first, then each value of each feature by name."""
    groups: dict[str, list[Prediction]] = {OVERALL: list(predictions)}
    for item in predictions:
        for feature in features:
            groups.setdefault(f"{feature}:{getattr(item, feature)}", []).append(item)
    return tuple(_measure(name, groups[name]) for name in sorted(groups, key=lambda n: (n != OVERALL, n)))


def save(slices: Sequence[SliceMetrics], folder: Path) -> None:
    """Write the metrics as JSON into ``folder``."""
    (folder / FILE_NAME).write_bytes(_SLICES.dump_json(tuple(slices), indent=1) + b"\n")


def load(folder: Path) -> tuple[SliceMetrics, ...]:
    """Read what :func:`save` wrote; an evaluation from before it is measured from its single answers."""
    path = folder / FILE_NAME
    if path.exists():
        return _SLICES.validate_json(path.read_bytes())
    return from_predictions(load_predictions(folder), EvaluatorConfig().slices)


def _measure(name: str, items: Sequence[Prediction]) -> SliceMetrics:
    labels, scores = arrays(items)
    counts = confusion(labels, scores, items[0].threshold)
    both = bool(counts.positives and counts.negatives)
    return SliceMetrics(
        slice=name,
        auc=auc(labels, scores) if both else None,
        partial_auc=partial_auc(labels, scores) if both else None,
        auc_precision_recall=average_precision(labels, scores) if both else None,
        **counts.counts,
    )


def external(
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
        images=found.images,
        melanomas=found.positives,
        copies=len(data.copies),
        auc=found.auc,
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


def save_external(found: Sequence[External], folder: Path) -> None:
    """Write the measures as JSON into ``folder``."""
    (folder / EXTERNAL_FILE).write_bytes(EXTERNALS.dump_json(tuple(found), indent=1) + b"\n")
