"""Runs the surveyed systems on one data set and measures them as the Evaluator measures the product."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import Field

from components.evaluator import predictions
from components.evaluator.model import Model
from components.trainer.progress import Progress
from core.errors import UsageError
from core.features import MODEL_NAME
from core.measures import operating_point
from core.measures.auc import auc, auc_interval
from core.measures.rates import Interval, rate_of
from core.registry.reader import UnknownVersionError
from core.registry.store import Registry
from core.settings import Frozen
from core.workspace import Workspace
from studies.baselines import perceptron, systems
from studies.baselines.extract import Table
from studies.baselines.systems import System

CLASSICAL: Final = (
    systems.PUBLISHED,
    systems.FITTED,
    systems.LINEAR,
    systems.NEIGHBOURS,
    perceptron.BACK_PROPAGATION,
    perceptron.GENETIC,
    perceptron.WORLD_CUP,
)
CONFIDENCE: Final = 0.95


class Row(Frozen):
    """One system, measured on the test split."""

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


def released(
    workspace: Workspace, data: Path, version: str | None, data_version: str
) -> tuple[Row | None, str]:
    """Return the served version (or `version`) measured on the test split, or None and the reason.

    A model that was trained on another ingest may have seen this test split: it is left out.

    Raises:
        UsageError: `version` is unknown.
    """
    registry = Registry(workspace.root, MODEL_NAME)
    chosen = version or registry.channels().stable
    if chosen is None:
        return None, (
            f"No version was released in {workspace.root}: `melanosizer run --data {data} --workspace "
            f"{workspace.root}` makes one, and the same command then puts it beside these."
        )
    try:
        record = registry.record(chosen)
    except UnknownVersionError as error:
        raise UsageError(f"--version: {error}") from None
    if record.parents.data_version != data_version:
        return None, (
            f"Version {chosen} was trained on data {record.parents.data_version[:12]}, not on this "
            f"{data_version[:12]}: it may have seen these test images and is left out."
        )
    started = time.monotonic()
    model = Model(registry.served / chosen)
    files = sorted((data / "test").glob("*.tfrecord.gz"))
    answers = [answer for answer, _ in predictions.predict(model, files, estimate=False)]
    seconds = time.monotonic() - started
    labels, scores = predictions.arrays(answers)
    training = float(record.model.get("metrics", {}).get("training_seconds", 0.0))
    return Row(
        name=f"Melanosizer {record.preset}, version {chosen}",
        source="this product",
        sees="the picture",
        auc=auc_interval(labels, scores, CONFIDENCE),
        sensitivity=rate_of((scores >= answers[0].threshold)[labels == 1]),
        specificity=rate_of((scores < answers[0].threshold)[labels == 0]),
        threshold=answers[0].threshold,
        eval_auc=record.model.get("metrics", {}).get("eval_auc"),
        describe_seconds=seconds,
        fit_seconds=training,
        images=len(answers),
    ), ""
