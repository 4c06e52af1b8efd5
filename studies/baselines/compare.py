"""Runs the surveyed systems on one data set and measures them as the Evaluator measures the product."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from components.trainer.progress import Progress
from core.measures import operating_point
from core.measures.auc import auc, auc_interval
from core.measures.rates import Interval, rate_of
from studies.baselines import (
    backprop,
    genetic,
    linear,
    neighbours,
    total_score,
    world_cup,
)
from studies.baselines.extract import Table
from studies.baselines.system import System

CLASSICAL: Final = (
    total_score.PUBLISHED,
    total_score.FITTED,
    linear.SYSTEM,
    neighbours.SYSTEM,
    backprop.SYSTEM,
    genetic.SYSTEM,
    world_cup.SYSTEM,
)
SAMPLES: Final = 1000  # bootstrap resamples
CONFIDENCE: Final = 0.95


class Row(BaseModel):
    """One system, measured on the test split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    sees: str
    auc: Interval
    sensitivity: Interval
    specificity: Interval
    threshold: float
    eval_auc: float | None = Field(description="on eval, where its threshold was chosen")
    describe_seconds: float = Field(description="computing its figures from all images of the three splits")
    fit_seconds: float = Field(description="fitting")
    images: int = Field(description="in the three splits")


def compare(systems: Sequence[System], tables: dict[str, Table], seed: int, progress: Progress) -> list[Row]:
    """Fit each system on train, choose its threshold on eval, measure it once on test."""
    return [_row(system, tables, seed, progress) for system in systems]


def _row(system: System, tables: dict[str, Table], seed: int, progress: Progress) -> Row:
    train, evaluation, test = (tables[name] for name in ("train", "eval", "test"))
    started = time.monotonic()
    score = system.fit(train, evaluation, seed)
    seconds = time.monotonic() - started
    on_eval = score(evaluation.values)
    if system.sensitivity is None:
        assert system.threshold is not None  # noqa: S101 - a system has the one or the other
        threshold = system.threshold
    else:
        threshold = operating_point.choose(evaluation.targets, on_eval, system.sensitivity).threshold
    answers = score(test.values).astype(np.float64)
    row = Row(
        name=system.name,
        source=system.source,
        sees=system.sees,
        auc=auc_interval(test.targets, answers, CONFIDENCE),
        sensitivity=rate_of((answers >= threshold)[test.targets == 1]),
        specificity=rate_of((answers < threshold)[test.targets == 0]),
        threshold=threshold,
        eval_auc=auc(evaluation.targets, on_eval),
        describe_seconds=sum(table.seconds for table in tables.values()),
        fit_seconds=seconds,
        images=sum(len(table.targets) for table in tables.values()),
    )
    progress.line("%s: AUC %s, %.1f s", row.name, row.auc, seconds)
    return row
