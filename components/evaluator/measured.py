"""Reads what TFMA measured, one record a slice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from pydantic import BaseModel, ConfigDict, Field

from components.evaluator.predictions import Prediction, arrays
from core.features import DECISION, PROBABILITY
from core.measures.auc import auc
from core.measures.curves import average_precision
from core.measures.rates import confusion
from core.records.verdict import OVERALL


class SliceMetrics(BaseModel):
    """Metrics of one slice of the test split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slice: str = Field(description="overall, or feature:value")
    auc: float | None = Field(description="ROC AUC; null where one class is missing")
    auc_precision_recall: float | None
    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int

    @property
    def positives(self) -> int:
        """Melanomas in the slice."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        """Other lesions in the slice."""
        return self.true_negatives + self.false_positives

    @property
    def sensitivity(self) -> float | None:
        """Melanomas found at the operating point, by melanomas."""
        return self.true_positives / self.positives if self.positives else None

    @property
    def specificity(self) -> float | None:
        """Other lesions cleared at the operating point, by other lesions."""
        return self.true_negatives / self.negatives if self.negatives else None


def slice_name(key: Iterable[tuple[str, Any]]) -> str:
    """Return ``sex:male`` for TFMA's ``(("sex", "male"),)`` and ``overall`` for the empty key."""
    return ", ".join(f"{feature}:{value}" for feature, value in key) or OVERALL


def load(folder: Path) -> tuple[SliceMetrics, ...]:
    """Read the metrics the Evaluator wrote into ``folder``, overall first, then by name."""
    result = tfma.load_eval_result(str(folder))
    slices = [_slice(slice_name(key), outputs) for key, outputs in result.slicing_metrics]
    return tuple(sorted(slices, key=lambda item: (item.slice != OVERALL, item.slice)))


def from_predictions(predictions: Sequence[Prediction], features: Sequence[str]) -> tuple[SliceMetrics, ...]:
    """Measure single predictions by slice, as TFMA does: for data no pipeline run has evaluated."""
    groups: dict[str, list[Prediction]] = {OVERALL: list(predictions)}
    for item in predictions:
        for feature in features:
            groups.setdefault(f"{feature}:{getattr(item, feature)}", []).append(item)
    return tuple(_measure(name, groups[name]) for name in sorted(groups, key=lambda n: (n != OVERALL, n)))


def _measure(name: str, items: Sequence[Prediction]) -> SliceMetrics:
    labels, scores = arrays(items)
    counts = confusion(labels, scores, items[0].threshold)
    both = bool(counts.positives and counts.negatives)
    return SliceMetrics(
        slice=name,
        auc=auc(labels, scores) if both else None,
        auc_precision_recall=average_precision(labels, scores) if both else None,
        true_positives=counts.true_positives,
        false_negatives=counts.false_negatives,
        true_negatives=counts.true_negatives,
        false_positives=counts.false_positives,
    )


def _slice(name: str, outputs: dict[str, Any]) -> SliceMetrics:
    probability, decision = outputs[PROBABILITY][""], outputs[DECISION][""]
    counts = {
        key: round(decision[key]["doubleValue"])
        for key in ("true_positives", "false_negatives", "true_negatives", "false_positives")
    }
    both = counts["true_positives"] + counts["false_negatives"] > 0
    both = both and counts["true_negatives"] + counts["false_positives"] > 0
    return SliceMetrics(
        slice=name,
        auc=_double(probability, "auc") if both else None,
        auc_precision_recall=_double(probability, "auc_precision_recall") if both else None,
        **counts,
    )


def _double(metrics: dict[str, Any], name: str) -> float | None:
    value = metrics.get(name, {}).get("doubleValue")
    if value is None or value == "NaN":
        return None
    return float(value)
