"""What the model does on the test split, computed from its single answers: numbers, tables and curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from components.evaluator import predictions
from components.evaluator.measured import REFUSED
from core.charts import performance as charts
from core.charts.performance import NamedCurve
from core.charts.spec import svg
from core.measures import curves
from core.measures.auc import auc
from core.measures.calibration import CalibrationLine, calibration_line, reliability
from core.measures.rates import Confusion, Interval, Labels, Scores, confusion, rate_of, threshold_table
from core.measures.summary import Measures, measure
from core.numbers import probability
from pipeline.report.evidence import Evidence

THRESHOLDS = (0.01, 0.02, 0.05, 0.10, 0.20, 0.30, 0.50)
# Screening, general practice, a referral centre.
PREVALENCES = (0.005, 0.02, 0.05, 0.10)
HISTOGRAM_EDGES = np.linspace(-7.2, 5.2, 42)


@dataclass(frozen=True)
class ZoneRow:
    """One zone of advice: its name, its limits, and the test lesions in it."""

    name: str
    limits: str
    images: int
    positives: int


@dataclass(frozen=True)
class Performance:
    """Everything measured on the test split."""

    labels: Labels  # 0 or 1, shape [n]
    scores: Scores  # probabilities, shape [n]
    measures: Measures
    predictive_value: Interval | None  # melanomas by referred lesions; None if nothing is referred
    chosen: Confusion  # what the stored operating point decides
    average_precision: float  # area under the precision-recall curve
    table: Sequence[Confusion]  # the same for other thresholds
    predictive: Sequence[tuple[float, float | None, float | None]]  # prevalence; predictive values, + and -
    refused: Interval  # share of the test lesions taken for no dermoscopy
    line: CalibrationLine  # intercept and slope of the calibration
    confidence: float  # coverage of all intervals
    zones: Sequence[ZoneRow]  # what each zone of the model holds, () where the model has none
    eval_answers: Sequence[tuple[int, float]]  # label and probability of the eval images

    def roc_chart(self) -> Markup:
        """Draw the ROC curve on test with its band, and on eval: a gap between the two is over-fitting."""
        test = NamedCurve(
            "test, AUC",
            curves.roc(self.labels, self.scores),
            self.measures.auc.value,
            curves.roc_band(self.labels, self.scores, self.confidence),
        )
        return svg(charts.roc([test, *self._on_eval()], self.chosen, self.confidence))

    def _on_eval(self) -> list[NamedCurve]:
        labels = np.array([label for label, _ in self.eval_answers], dtype=np.int64)
        scores = np.array([score for _, score in self.eval_answers], dtype=np.float64)
        if not len(labels) or labels.min() == labels.max():
            return []
        return [NamedCurve("eval, AUC", curves.roc(labels, scores), auc(labels, scores))]

    def precision_recall_chart(self) -> Markup:
        """Draw the precision-recall curve with its band."""
        test = NamedCurve(
            "average precision",
            curves.precision_recall(self.labels, self.scores),
            self.average_precision,
            curves.precision_recall_band(self.labels, self.scores, self.confidence),
        )
        return svg(charts.precision_recall([test], self.chosen.prevalence, self.chosen))

    def reliability_chart(self) -> Markup:
        """Draw the reliability diagram."""
        return svg(charts.reliability(reliability(self.labels, self.scores), self.confidence))

    def histogram_chart(self) -> Markup:
        """Draw the probabilities by class."""
        others, melanoma = curves.log_odds_histogram(self.labels, self.scores, HISTOGRAM_EDGES)
        return svg(charts.probabilities(HISTOGRAM_EDGES, others, melanoma, self.chosen.threshold))


def of(evidence: Evidence) -> Performance | None:
    """Measure the answers of a run; None where there are none, or only of one class."""
    if not evidence.predictions:
        return None
    labels, scores = predictions.arrays(evidence.predictions)
    if labels.min() == labels.max() or not np.isfinite(scores).all():
        return None
    threshold = evidence.predictions[0].threshold
    confidence = evidence.confidence
    chosen = confusion(labels, scores, threshold, "operating point")
    refused = np.array([item.out_of_distribution >= REFUSED for item in evidence.predictions])
    return Performance(
        labels=labels,
        scores=scores,
        measures=measure(
            labels, scores, threshold, samples=evidence.bootstrap_samples, confidence=confidence
        ),
        predictive_value=chosen.predictive_value_interval(confidence),
        chosen=chosen,
        average_precision=curves.average_precision(labels, scores),
        table=threshold_table(labels, scores, THRESHOLDS, [(threshold, "operating point")]),
        predictive=[(share, *chosen.predictive_values_at(share)) for share in PREVALENCES],
        refused=rate_of(refused, confidence),
        line=calibration_line(labels, scores, confidence),
        zones=_zones(labels, scores, evidence.model.get("zones")),
        eval_answers=evidence.eval_answers,
        confidence=confidence,
    )


def _zones(labels: Labels, scores: Scores, limits: Any) -> list[ZoneRow]:
    """Count the test lesions in the zones low, review and refer that are stored in the model."""
    if not isinstance(limits, dict) or not {"low_below", "refer_from"} <= limits.keys():
        return []
    low, refer = float(limits["low_below"]), float(limits["refer_from"])
    members = {
        ("low", f"below {probability(low)}"): scores < low,
        ("review", f"{probability(low)} to {probability(refer)}"): (scores >= low) & (scores < refer),
        ("refer", f"from {probability(refer)}"): scores >= refer,
    }
    return [
        ZoneRow(name, words, int(inside.sum()), int((inside & (labels == 1)).sum()))
        for (name, words), inside in members.items()
    ]
