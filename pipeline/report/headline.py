"""What a reader sees first: what came of the run, and what that means for a thousand lesions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup

from components.evaluator.predictions import Prediction
from components.evaluator.worst import false_alarms
from core.charts import marks
from core.measures.rates import Confusion, Interval
from core.numbers import MINUS, count, moment, percent, rate
from core.records.verdict import OVERALL, Check
from pipeline.outcome import DONE
from pipeline.report import words
from pipeline.report.evidence import Evidence
from pipeline.report.performance import Performance

# A page that is mailed cannot know of a later release or rollback.
SERVED_NOW = "What is served today stands in the registry (melanosizer models list) and on the dashboard."
PURPOSES = {"train": "train on", "eval": "fit thresholds on", "test": "judge by"}


@dataclass(frozen=True)
class Tile:
    """One key number with its interval, and the gate's limit where there is one."""

    name: str
    value: str
    spread: str
    detail: str
    limit: str
    held: bool | None


@dataclass(frozen=True)
class Headline:
    """The banner: a status word, a sentence, what follows from it, and the refusals."""

    status: str
    title: str
    lead: str
    refusals: Sequence[tuple[str, Check]]
    tiles: Sequence[Tile]
    meaning: str
    thousand: Markup | None
    legend: Sequence[tuple[str, str, int]]


def of(evidence: Evidence, performance: Performance | None) -> Headline:
    """Say what came of a run."""
    result = evidence.result
    title, lead = _status(evidence)
    parts = _of_thousand(performance.chosen) if performance else []
    return Headline(
        status=result.status,
        title=title,
        lead=lead,
        refusals=[(verdict.gate, check) for verdict in result.verdicts for check in verdict.refusals],
        tiles=_tiles(evidence, performance) if performance else _data_tiles(evidence),
        meaning=_meaning(performance.chosen, carcinomas(evidence.predictions)) if performance else "",
        thousand=_bar(parts) if parts else None,
        legend=parts,
    )


def carcinomas(predictions: Sequence[Prediction]) -> int:
    """Count the false alarms that belong in front of a dermatologist for another reason than melanoma."""
    return sum(item.diagnosis in words.CARCINOMAS for item in false_alarms(predictions))


def _status(evidence: Evidence) -> tuple[str, str]:
    result = evidence.result
    served = "Nothing was released: this run changed nothing of what is served."
    if result.status == "pushed":
        return (
            "Passed every gate and released",
            f"Version {result.version} was released when this run ended, {moment(result.started + timedelta(seconds=result.seconds))}. {SERVED_NOW}",
        )
    if result.status == "unchanged":
        same = f"The model computes the same as version {result.version}, which was released already"
        why = f"V{result.reason[1:]}" if result.reason else same
        return "Passed every gate, nothing new to release", f"{why}. {SERVED_NOW}"
    if result.status == "refused":
        gates = [
            words.GATES.get(verdict.gate, verdict.gate).lower()
            for verdict in result.verdicts
            if not verdict.passed
        ]
        trained = "" if result.model else " No model was trained."
        return f"Refused by the {' and the '.join(gates)}", f"{served}{trained}"
    stopped = [words.STEPS.get(step.name, step.name) for step in result.steps if step.state not in DONE]
    return f"The run failed{' at: ' + stopped[0].lower() if stopped else ''}", served


def _meaning(row: Confusion, carcinomas: int) -> str:
    text = (
        f"Of the {count(row.positives)} melanomas among {count(row.total)} test lesions the model refers "
        f"{count(row.true_positives)} and misses {count(row.false_negatives)}. Of the {count(row.negatives)} other lesions "
        f"it refers {count(row.false_positives)}"
    )
    if row.true_positives:
        text += f": {row.referred / row.true_positives:.1f} referrals for each melanoma found"
    if carcinomas:
        text += (
            f". {count(carcinomas)} of these {count(row.false_positives)} are carcinomas or their precursors"
        )
    return text + "."


def _of_thousand(row: Confusion) -> list[tuple[str, str, int]]:
    """Return (words, class, lesions) of 1,000 lesions; rounded so that they add up."""
    shown = [
        ("melanomas found", "found", 1000 * row.true_positives / row.total),
        ("melanomas missed", "missed", row.missed_per_1000),
        ("false alarms", "alarm", row.false_alarms_per_1000),
    ]
    # A melanoma missed is never rounded away; what is cleared takes up the rounding.
    parts = [(name, kind, max(round(exact), int(exact > 0))) for name, kind, exact in shown]
    return [*parts, ("others, cleared", "cleared", 1000 - sum(number for _, _, number in parts))]


def _bar(parts: Sequence[tuple[str, str, int]]) -> Markup:
    return marks.stacked(
        [(number, kind, f"{number} {name}") for name, kind, number in parts],
        width=1000,
        height=34,
        kind="thousand",
        stretched=True,
    )


def _tiles(evidence: Evidence, performance: Performance) -> list[Tile]:
    measures, chosen = performance.measures, performance.chosen
    change = _check(evidence, "auc_change")
    ranked = "a melanoma is ranked above another lesion this often"
    if change is not None and change.value is not None:
        ranked = f"{change.value:+.3f} against the model blessed last".replace("-", MINUS)
    found = f"{count(chosen.true_positives)} of {count(chosen.positives)}: the sensitivity"
    cleared = f"{count(chosen.true_negatives)} of {count(chosen.negatives)}: the specificity"
    gap = "gap between what is stated and what is seen, without what chance adds"
    right = (
        f"{count(chosen.true_positives)} of {count(chosen.referred)} referred are melanomas; "
        f"{percent(performance.chosen.prevalence)} of all lesions are"
    )
    return [
        _tile("Melanomas found", measures.sensitivity, found, percent, _check(evidence, "sensitivity")),
        _tile(
            "Other lesions cleared", measures.specificity, cleared, percent, _check(evidence, "specificity")
        ),
        _tile("AUC", measures.auc, ranked, rate, _check(evidence, "auc")),
        _tile("Calibration error", measures.ece, gap, rate),
        _tile("Predictive value", performance.predictive_value, right, percent),
    ]


def _tile(
    name: str,
    measured: Interval | None,
    detail: str,
    written: Callable[[float | None], str],
    check: Check | None = None,
) -> Tile:
    return Tile(
        name=name,
        value=written(measured.value if measured else None),
        spread=f"{written(measured.low)} to {written(measured.high)}" if measured else "",
        detail=detail,
        limit=f"{words.COMPARISONS[check.comparison]} {written(check.limit)}" if check else "",
        held=check.passed if check else None,
    )


def _check(evidence: Evidence, metric: str) -> Check | None:
    for verdict in evidence.result.verdicts:
        if verdict.gate == "model":
            return next((c for c in verdict.checks if c.metric == metric and c.slice == OVERALL), None)
    return None


def _data_tiles(evidence: Evidence) -> list[Tile]:
    """Return the images of each split: without a model the data is what there is to know."""
    tiles = []
    for split, labels in evidence.splits.items():
        detail = f"{count(labels.melanomas)} melanomas, {percent(labels.share)}"
        name = f"Images to {PURPOSES.get(split, split)}"
        tiles.append(Tile(name, count(labels.images), "", detail, "", None))
    return tiles
