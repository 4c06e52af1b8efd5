"""Leave one source out: what is trained on, what is compared, and what is skipped, with the training itself stood in for."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from components.evaluator import predictions
from components.evaluator.predictions import Prediction
from components.ingest.config import IngestConfig, Source
from components.ingest.job import ingest
from components.ingest.manifest import Manifest
from core import features, tfrecord
from core.measures.auc import auc
from core.workspace import Workspace
from pipeline import run, unseen_sources
from pipeline.config import load


def source(folder: Path, count: int, melanomas: int) -> Source:
    random = np.random.default_rng(list(folder.name.encode()))
    (folder / "images").mkdir(parents=True)
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_name", "target"])
        for number in range(count):
            name = f"{folder.name}{number:03}"
            table.writerow([name, int(number < melanomas)])
            pixels = random.integers(0, 256, (48, 48, 3), np.uint8)
            Image.fromarray(pixels).resize((96, 96)).save(folder / "images" / f"{name}.jpg", quality=90)
    return Source(kind="csv", path=folder / "metadata.csv", name=folder.name)


def answers(data: Path, splits: tuple[str, ...], noise: float) -> list[Prediction]:
    """A model whose probability is the label and some noise."""
    random = np.random.default_rng(1)
    return [
        Prediction(
            tfrecord.text(item, features.IMAGE_NAME),
            tfrecord.text(item, features.SOURCE),
            target,
            float(np.clip(0.3 + 0.4 * target + random.normal(0, noise), 0.001, 0.999)),
            0.5,
            0.0,
            "",
            "unknown",
            "unknown",
            "unknown",
            "1",
        )
        for split in splits
        for path in sorted((data / split).glob("*.tfrecord.gz"))
        for item in tfrecord.examples(path)
        for target in [int(tfrecord.first(item, features.TARGET))]
    ]


def outcome(evaluation: Path, **known: Any) -> Any:
    return SimpleNamespace(uri=lambda step, output: evaluation, reason="", **known)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    sources = (
        source(tmp_path / "here", 120, 40),
        source(tmp_path / "there", 120, 40),
        source(tmp_path / "calm", 30, 0),
    )
    ingest(IngestConfig(sources=sources), tmp_path / "data")
    return tmp_path / "data"


def test_each_source_is_asked_of_a_model_that_never_saw_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.run("r1").mkdir(parents=True)
    own = tmp_path / "own"
    own.mkdir()
    predictions.save(answers(data, ("test",), 0.05), own)
    trained_on: list[set[str]] = []

    def execute(config: Any, *, data: Path, workspace: Workspace, **_: Any) -> Any:
        trained_on.append({item.source for item in answers(data, ("train", "eval", "test"), 0)})
        assert not config.evaluator.leave_source_out
        evaluation = workspace.root / "evaluation"
        (outside,) = config.evaluator.external
        folder = evaluation / "external" / outside.name
        folder.mkdir(parents=True)
        predictions.save(answers(Path(outside.folder), ("train", "eval", "test"), 0.5), folder)
        return outcome(evaluation)

    monkeypatch.setattr(run, "execute", execute)
    result = outcome(
        own,
        data=str(data),
        data_version=Manifest.load(data).data_version,
        run_id="r1",
        started=datetime.now(UTC),
    )
    config = load("quick", {"evaluator.leave_source_out": "true"})
    found = unseen_sources.measure(
        config, result, preset="quick", workspace=workspace, console=Console(quiet=True)
    )
    calm, here, there = found
    assert trained_on == [{"calm", "there"}, {"calm", "here"}]
    assert "its part of test holds 0 melanomas" in calm.skipped
    assert (here.images, here.melanomas) == (120, 40)
    tested = [item for item in predictions.load(own) if item.source == "here"]
    assert here.test_images == len(tested)
    assert here.known is not None
    assert here.known.value == pytest.approx(auc(*predictions.arrays(tested)))
    assert there.change is not None
    assert there.unseen is not None
    assert there.known is not None
    assert there.change.value == pytest.approx(there.unseen.value - there.known.value)
    assert there.change.low < there.change.value < there.change.high
    assert there.change.value < 0  # noise of 0.5 ranks worse than of 0.05
    assert unseen_sources.load(workspace.run("r1") / unseen_sources.FILE_NAME) == found
    assert not list((workspace.root / "unseen-sources").iterdir())


def test_one_source_leaves_nothing_out(tmp_path: Path) -> None:
    ingest(IngestConfig(sources=(source(tmp_path / "here", 60, 20),)), tmp_path / "data")
    result = outcome(tmp_path, data=str(tmp_path / "data"), run_id="r1")
    console = Console(record=True, width=200)
    found = unseen_sources.measure(
        load("quick"), result, preset="quick", workspace=Workspace(tmp_path / "w"), console=console
    )
    assert found == ()
    assert "all images come from here" in console.export_text()
