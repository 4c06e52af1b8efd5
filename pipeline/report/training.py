"""What training measured, epoch by epoch, as curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from core.charts.series import lines
from core.charts.spec import svg
from pipeline.report.evidence import Evidence


@dataclass(frozen=True)
class Training:
    """Training curves and the times behind them; a chart is None where its measure was not taken.

    With the frozen strategy a stage is a head tried with one penalty, and only the best is kept.
    """

    loss: Markup | None
    auc: Markup | None
    false_negatives: Markup | None
    positives: int | None
    epochs: Sequence[dict[str, Any]]
    kept: Sequence[int]
    stages: int
    frozen: bool
    seconds: float | None
    images_per_second: float | None
    waiting: float | None
    finder: Finder | None
    trials: Trials | None


@dataclass(frozen=True)
class Finder:
    """The learning-rate finder's plot, and the peak rates that were trained with."""

    chart: Markup
    steepest: float
    lowest: float
    choose: str
    body: float
    head: float


@dataclass(frozen=True)
class Trials:
    """What the tuner tried, the best first: names of the settings, and a row (AUC on eval, values) a trial."""

    names: Sequence[str]
    rows: Sequence[tuple[float, Sequence[Any]]]


def of(evidence: Evidence) -> Training | None:
    """Draw history.json; None where there is none, or no epoch in it."""
    rows = (evidence.history or {}).get("epochs") or []
    if not rows or not all(isinstance(row, dict) for row in rows):
        return None
    epochs = [float(index) for index in range(1, len(rows) + 1)]
    stages = [int(row.get("stage", 0)) for row in rows]
    restarts = [index + 0.5 for index in range(1, len(rows)) if stages[index] != stages[index - 1]]
    trainer = evidence.config.get("trainer", {})
    frozen = trainer.get("strategy") == "frozen"
    kept = _best(rows, range(len(rows))) if frozen else _kept(rows, stages, trainer)

    def chart(title: str, names: Mapping[str, str], low: float | None = None) -> Markup | None:
        series = {
            name: list(zip(epochs, (_number(row.get(key)) for row in rows), strict=True))
            for key, name in names.items()
            if any(_number(row.get(key)) is not None for row in rows)
        }
        if not series:
            return None
        rings = [
            (epochs[index], value, f"kept: epoch {index + 1}")
            for index in kept
            if "eval" in series and (value := series["eval"][index][1]) is not None
        ]
        return svg(lines(title, "epoch", title, series, low=low, marks=rings, breaks=restarts))

    seconds = [value for row in rows if (value := _number(row.get("seconds"))) is not None]
    return Training(
        loss=chart(
            "loss, nats",
            {"eval_loss": "eval", "eval_log_loss": "eval", "loss": "training"},
        ),
        auc=chart(
            "AUC",
            {"eval_auc": "eval", "auc": "training", "train_auc": "training"},
        ),
        false_negatives=chart("melanomas missed at 50 %", {"false_negatives": "eval"}, low=0.0),
        positives=rows[-1].get("positives"),
        epochs=rows,
        kept=kept,
        stages=len(set(stages)),
        frozen=frozen,
        seconds=sum(seconds) if seconds else None,
        images_per_second=_mean(rows, "images_per_second"),
        waiting=_mean(rows, "waiting"),
        finder=_finder(evidence.finder),
        trials=_trials(evidence.trials),
    )


def _trials(found: dict[str, Any] | None) -> Trials | None:
    if not found or not found.get("trials"):
        return None
    names = list(found["tuned"])
    rows = [(float(row["score"]), [row.get(name) for name in names]) for row in found["trials"]]
    return Trials(names, sorted(rows, key=lambda row: row[0], reverse=True))


def _finder(found: dict[str, Any] | None) -> Finder | None:
    if not found or len(found.get("rates", [])) < 2:
        return None
    # The file holds a tenth of the rate at the lowest loss: what cyclic schedules go up to.
    lowest = 10 * found["highest"]
    rates, smoothed = found["rates"], found["smoothed"]
    # The explosion at the end would press everything else flat.
    ceiling = 2 * max(smoothed[0], min(smoothed))
    series = {
        name: [(rate, min(loss, ceiling)) for rate, loss in zip(rates, losses, strict=True)]
        for name, losses in (("smoothed", smoothed), ("each step", found["losses"]))
    }
    rings = [
        (*min(series["smoothed"], key=lambda point: abs(math.log(point[0] / rate))), f"{words} at {rate:.2g}")
        for rate, words in ((found["steepest"], "fell fastest"), (lowest, "lowest"))
    ]
    across = "learning rate of the backbone"
    return Finder(
        chart=svg(
            lines(
                "loss while the learning rate grows",
                across,
                "loss, nats",
                series,
                marks=rings,
                logarithmic=True,
            )
        ),
        steepest=found["steepest"],
        lowest=lowest,
        choose=found["choose"],
        body=found["body_learning_rate"],
        head=found["head_learning_rate"],
    )


def _kept(rows: Sequence[dict[str, Any]], stages: Sequence[int], trainer: Mapping[str, Any]) -> list[int]:
    """Return the best epoch on eval, or the last, of each stage whose snapshot is in the model."""
    configured = trainer.get("stages") or [{}]
    kept = []
    for stage in sorted(set(stages)):
        # With folds the stages count on: each fold runs all of them.
        if not configured[stage % len(configured)].get("snapshot", True):
            continue
        members = [index for index, one in enumerate(stages) if one == stage]
        kept += members[-1:] if trainer.get("keep") == "last" else _best(rows, members)
    return kept


def _best(rows: Sequence[dict[str, Any]], members: Sequence[int]) -> list[int]:
    """Return the one member with the highest AUC on eval; none where it was not measured."""
    known = [index for index in members if _number(rows[index].get("eval_auc")) is not None]
    return [max(known, key=lambda index: float(rows[index]["eval_auc"]))] if known else []


def _mean(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    """Return the mean over the epochs, weighted by their time."""
    pairs = [(_number(row.get(name)), _number(row.get("seconds")) or 0.0) for row in rows]
    known = [(value, weight) for value, weight in pairs if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value == value else None
