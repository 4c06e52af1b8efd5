"""Leave one source out: what a camera or clinic costs that the model has not seen, measured for each source in turn."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pydantic import Field, TypeAdapter
from rich.console import Console

from components.evaluator import predictions
from components.evaluator.config import EvaluatorConfig, ExternalData
from components.ingest import spans
from components.ingest.manifest import Manifest
from core.features import SPLITS
from core.files import write_atomic
from core.measures.auc import auc_interval, compare
from core.measures.rates import Interval
from core.settings import Frozen
from core.workspace import Workspace
from pipeline.config import RunConfig
from pipeline.console import say
from pipeline.outcome import Outcome

FILE_NAME = "unseen_sources.json"
_FOLDER = "unseen-sources"


class UnseenSource(Frozen):
    """One source, asked of a model that was trained without it."""

    name: str = Field(description="value of the feature `source`")
    skipped: str = Field(default="", description="why nothing was measured; empty if it was")
    images: int = Field(default=0, description="all images of the source")
    melanomas: int = 0
    auc: Interval | None = Field(
        default=None, description="of the model without the source, on all its images"
    )
    test_images: int = Field(
        default=0, description="images of the source in the test split, which both models answer"
    )
    test_melanomas: int = 0
    known: Interval | None = Field(
        default=None, description="AUC on these of the run's model, which knew the source"
    )
    unseen: Interval | None = Field(default=None, description="AUC on the same of the model without it")
    change: Interval | None = Field(default=None, description="unseen minus known, paired DeLong")
    p_value: float | None = None


_ALL = TypeAdapter(tuple[UnseenSource, ...])


def load(path: Path) -> tuple[UnseenSource, ...]:
    """Read what :func:`measure` wrote."""
    return _ALL.validate_json(path.read_bytes())


def measure(
    config: RunConfig, result: Outcome, *, preset: str, workspace: Workspace, console: Console
) -> tuple[UnseenSource, ...]:
    """Train without each source of a finished run's data in turn, and measure on it; written beside the run's record.

    Every training has a workspace of its own, which is deleted when its figures are written. The run has a model; the
    caller holds its workspace's lock.
    """
    data, file = Path(result.data), workspace.run(result.run_id) / FILE_NAME
    names = spans.sources(data)
    found: list[UnseenSource] = []
    if len(names) < 2:
        say(console, f"leave_source_out: all images come from {', '.join(names)}; nothing is left out")
        return ()
    for number, name in enumerate(names, 1):
        say(console, f"without source {name} ({number} of {len(names)})")
        home = workspace.root / _FOLDER / f"{result.data_version[:12]}-{number}"
        shutil.rmtree(home, ignore_errors=True)
        try:
            found.append(_one(name, names, config, result, preset, home, console))
        finally:
            shutil.rmtree(home, ignore_errors=True)
        write_atomic(file, _ALL.dump_json(tuple(found), indent=1) + b"\n")
    return tuple(found)


def _one(
    name: str,
    names: tuple[str, ...],
    config: RunConfig,
    result: Outcome,
    preset: str,
    home: Path,
    console: Console,
) -> UnseenSource:
    # Those who only read what was measured, like the report, wait for no TFX.
    from components.evaluator.component import EXTERNAL
    from pipeline import run

    data = Path(result.data)
    rest = spans.select_sources(data, set(names) - {name}, home / "rest")
    left = spans.select_sources(data, {name}, home / "left")
    if why := _unusable(rest, left):
        return UnseenSource(name=name, skipped=why)
    outside = ExternalData(
        name=_slug(name), path=name, folder=str(home / "left"), data_version=left.data_version
    )
    evaluator = EvaluatorConfig(
        min_auc=0, max_auc_loss=1, min_sensitivity=0, min_specificity=0, min_slice_auc=0, min_slice_sensitivity=0,
        slices=(), external=(outside,), bootstrap_samples=100, confidence=config.evaluator.confidence,
    )  # fmt: skip
    trainer = config.trainer.model_copy(update={"litert": (), "robustness_images": 0})
    again = config.model_copy(update={"evaluator": evaluator, "trainer": trainer, "metadata_url": None})
    trained = run.execute(
        again, preset=preset, workspace=Workspace(home / "workspace"), data=home / "rest", console=console
    )
    answered, own = trained.uri("Evaluator", "evaluation"), result.uri("Evaluator", "evaluation")
    if answered is None or own is None or not (answered / EXTERNAL / outside.name).is_dir():
        return UnseenSource(name=name, skipped=trained.reason or "the training gave no model")
    outsiders = predictions.load(answered / EXTERNAL / outside.name)
    labels, scores = predictions.arrays(outsiders)
    unseen = {item.image_name: item for item in outsiders}
    tested = [item for item in predictions.load(own) if item.source == name]
    test_labels, known = predictions.arrays(tested)
    _, without = predictions.arrays([unseen[item.image_name] for item in tested])
    confidence = config.evaluator.confidence
    test = compare(test_labels, known, without, confidence)
    return UnseenSource(
        name=name,
        images=len(labels),
        melanomas=int(labels.sum()),
        auc=auc_interval(labels, scores, confidence),
        test_images=len(tested),
        test_melanomas=int(test_labels.sum()),
        known=auc_interval(test_labels, known, confidence),
        unseen=auc_interval(test_labels, without, confidence),
        change=Interval(value=test.difference, low=test.low, high=test.high),
        p_value=test.p,
    )


def _unusable(rest: Manifest, left: Manifest) -> str:
    """Return why nothing can be measured; empty if it can."""
    for split in SPLITS:
        counts = rest.splits[split]
        if not (counts.positives and counts.negatives):
            return f"without it {split} holds {counts.positives} melanomas and {counts.negatives} others"
    test = left.splits["test"]
    if not (test.positives and test.negatives):
        return f"its part of test holds {test.positives} melanomas and {test.negatives} others"
    return ""


def _slug(name: str) -> str:
    return "source-" + re.sub(r"[^a-z0-9_-]+", "-", name.lower())
