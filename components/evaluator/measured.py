"""Metrics of the test split, overall and by slice, computed once from the single answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from components.evaluator.config import EvaluatorConfig
from components.evaluator.predictions import Prediction, arrays
from components.evaluator.predictions import load as load_predictions
from core.measures.auc import auc, partial_auc
from core.measures.curves import average_precision
from core.measures.rates import confusion
from core.records.evaluation import SliceMetrics
from core.records.verdict import OVERALL

FILE_NAME: Final = "slices.json"

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
