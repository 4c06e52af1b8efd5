"""The test split by what is known of it and what is seen in it: where the model is worst, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from pydantic import Field

from components.evaluator.predictions import Prediction, arrays
from core.charts import marks
from core.measures.auc import auc_interval
from core.measures.rates import Interval, confusion
from core.measures.summary import Measures
from core.settings import Frozen
from pipeline.report import words
from pipeline.report.evidence import Evidence, ordered

FEATURES = ("sex", "age_band", "anatom_site", "skin_tone", "image_quality", "source", "diagnosis")
AUC_FROM = 0.4  # left end of the small AUC axes: below it a model is broken anyway


class Slice(Frozen):
    """One slice of the test split: one value of one feature."""

    feature: str
    value: str
    images: int
    melanomas: int
    judged: bool = Field(description="whether the model gate looked at it: enough images of both classes")
    auc: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None

    @property
    def name(self) -> str:
        """The slice in words, e.g. ``sex: male``."""
        return f"{words.group(self.feature)}: {words.value(self.value)}"


@dataclass(frozen=True)
class Slices:
    """All slices by feature, and the worst of those that are judged."""

    by_feature: Sequence[tuple[str, Sequence[Slice]]]  # slices by the feature's name in words
    single: Sequence[tuple[str, str]]  # features of which all images share one value
    worst_auc: Slice | None  # the judged slice with the lowest AUC
    worst_sensitivity: Slice | None  # the judged slice with the lowest sensitivity
    too_small: dict[str, list[str]]  # values the gate looks at but cannot judge, by feature
    overall: Measures  # of the whole test split
    limits: Mapping[str, Any]  # of the model gate

    def auc_chart(self, row: Slice) -> Markup:
        """Draw a slice's AUC beside that of the whole and, if it is judged, the limit."""
        return self._chart(row, row.auc, self.overall.auc, "min_slice_auc", AUC_FROM)

    def sensitivity_chart(self, row: Slice) -> Markup:
        """Draw a slice's sensitivity in the same way."""
        return self._chart(row, row.sensitivity, self.overall.sensitivity, "min_slice_sensitivity", 0.0)

    def _chart(self, row: Slice, found: Interval | None, whole: Interval, limit: str, low: float) -> Markup:
        return marks.whisker(
            found,
            low=low,
            overall=whole.value,
            limit=self.limits.get(limit) if row.judged else None,
            kind="model" if row.judged else "faint",
        )


def of(evidence: Evidence, overall: Measures) -> Slices:
    """Measure every value of every feature.

    A feature of which all images share one value says nothing and is only named (``single``).
    """
    limits = evidence.config.get("evaluator", {})
    judged = tuple(limits.get("slices", ()))
    tables: list[tuple[str, Sequence[Slice]]] = []
    single: list[tuple[str, str]] = []
    for feature in FEATURES:
        groups: dict[str, list[Prediction]] = {}
        for item in evidence.predictions:
            groups.setdefault(getattr(item, feature), []).append(item)
        if len(groups) < 2:
            single.extend((words.group(feature), value) for value in groups)
            continue
        rows = [
            _measure(limits, evidence.confidence, feature, value, groups[value])
            for value in ordered(feature, {value: len(items) for value, items in groups.items()})
        ]
        tables.append((words.GROUPS[feature], rows))
    every = [row for _, rows in tables for row in rows]
    too_small: dict[str, list[str]] = {}
    for row in every:
        if row.feature in judged and not row.judged:
            too_small.setdefault(words.group(row.feature), []).append(words.value(row.value))
    considered = [row for row in every if row.judged]
    return Slices(
        by_feature=tables,
        single=single,
        worst_auc=_worst(considered, "auc"),
        worst_sensitivity=_worst(considered, "sensitivity"),
        too_small=too_small,
        overall=overall,
        limits=limits,
    )


def _worst(rows: Sequence[Slice], measure: str) -> Slice | None:
    known = [row for row in rows if getattr(row, measure)]
    return min(known, key=lambda row: float(getattr(row, measure).value), default=None)


def _measure(
    limits: Mapping[str, Any], confidence: float, feature: str, value: str, items: Sequence[Prediction]
) -> Slice:
    labels, scores = arrays(items)
    counts = confusion(labels, scores, items[0].threshold)
    positives, negatives = counts.positives, counts.negatives
    enough = positives >= limits.get("min_slice_positives", 10) and negatives >= limits.get(
        "min_slice_negatives", 20
    )
    return Slice(
        feature=feature,
        value=value,
        images=len(labels),
        melanomas=positives,
        judged=feature in limits.get("slices", ()) and enough,
        auc=auc_interval(labels, scores, confidence) if positives and negatives else None,
        sensitivity=counts.sensitivity_interval(confidence),
        specificity=counts.specificity_interval(confidence),
    )
