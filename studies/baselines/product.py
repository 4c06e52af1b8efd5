"""The released model as one row of a comparison."""

from __future__ import annotations

import time
from pathlib import Path

from components.evaluator import predictions
from components.evaluator.model import Model
from core.errors import UsageError
from core.features import MODEL_NAME
from core.measures.auc import auc_interval
from core.measures.rates import rate_of
from core.registry.store import Registry, UnknownVersionError
from core.workspace import Workspace
from studies.baselines.compare import CONFIDENCE, Row


def row(workspace: Workspace, data: Path, version: str | None, data_version: str) -> tuple[Row | None, str]:
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
