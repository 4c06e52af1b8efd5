"""`melanosizer train-worker`: several processes make one model of a run's data, and go on after one was lost."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from components.trainer.model.backbones.backbone import (
    UnknownBackboneError,
    WeightsFileError,
    WeightsUnavailableError,
)
from core import features
from core.errors import RunFaultError, UsageError
from core.workspace import Workspace
from pipeline import config, prepared
from pipeline.__main__ import app
from pipeline.outcome import Outcome, StepOutcome
from tests.support import lesions, transforming
from tests.support import workers as processes
from tests.support.saved_model import CppModel

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]
EPOCHS = 30


def _run(workspace: Workspace, run_id: str, **outputs: tuple[str, Path]) -> None:
    folder = workspace.run(run_id)
    folder.mkdir()
    steps = tuple(
        StepOutcome(name=step, state="COMPLETE", seconds=1.0, outputs={output: [str(path)]})
        for step, (output, path) in outputs.items()
    )
    Outcome(
        run_id=run_id, status="pushed", reason="", preset="quick", data="/data/lesions", data_version="0" * 64,
        started=datetime(2026, 1, 1, tzinfo=UTC), seconds=9.0, version=None, model=None, metrics=None,
        threshold=None, verdicts=(), steps=steps,
    ).save(folder)  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One run that was refused early, and one before it with all data steps done."""
    made = Workspace(tmp_path / "workspace")
    made.prepare()
    places = {
        "ImportExampleGen": ("examples", made.artifacts / "examples"),
        "Transform": ("transform_graph", made.artifacts / "transform"),
        "DataGate": ("accepted", made.artifacts / "accepted"),
    }
    for _, path in places.values():
        path.mkdir()
    (made.artifacts / "accepted" / "accepted.json").write_text('{"data_version": "1", "class_weights": null}')
    _run(made, "20260101-000000", **places)
    _run(made, "20260102-000000", ImportExampleGen=places["ImportExampleGen"])
    return made


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "20260102-000000"], "20260102-000000 did not get past Transform"),
        (
            ["--run", "yesterday"],
            r"--run yesterday: no run there whose data steps are done \(yesterday has no run",
        ),
        (["--preset", "quick"], "strategy=frozen with distribution=workers"),
        (["--preset", "full"], r"preset full: trainer: max_minutes=\d+.* with distribution=workers"),
        (["--workspace", "/nowhere"], "no workspace there"),
        (["--set", "trainer.backbone=resnet5"], "'resnet5' is unknown; valid: .*resnet50"),
        (
            ["--set", "trainer.weights=/nowhere/weights.h5"],
            "/nowhere/weights.h5: no such file; valid: imagenet",
        ),
        (
            ["--set", "trainer.weights=pushed:7"],
            "serving/melanoma/7: .*is not there; .*released in this workspace: none yet",
        ),
        ([], "TF_CONFIG is not set"),
    ],
)
def test_a_mistake_is_a_usage_error(
    arguments: list[str], message: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    given = ["train-worker", "--workspace", str(workspace.root), "--out", "out", *arguments]
    error = CliRunner().invoke(app, given).exception
    assert isinstance(error, UsageError)
    assert re.search(message, str(error)), str(error)


@pytest.mark.parametrize(
    ("raised", "wanted"),
    [
        (UnknownBackboneError("resnet5", ["resnet50"]), UsageError),
        (WeightsFileError("weights a.h5 for vgg16: damaged"), UsageError),
        (WeightsUnavailableError("ImageNet's weights cannot be had here"), RunFaultError),
    ],
)
def test_what_training_finds_wrong_with_its_first_weights_is_no_traceback(
    raised: Exception, wanted: type[Exception], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise raised

    monkeypatch.setattr("components.trainer.fit.distribution.workers", lambda _: None)
    monkeypatch.setattr("components.trainer.run.run_fn", failing)
    given = ["train-worker", "--workspace", str(workspace.root), "--out", "out"]
    error = CliRunner().invoke(app, given).exception
    assert isinstance(error, wanted)
    assert str(error) == str(raised)


def test_the_trainer_is_told_what_the_run_found_and_of_the_tuner_where_the_preset_has_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    settings = config.load("smoke", {"trainer.distribution": "workers"})
    tuner = "{space: {optimiser.weight_decay: {low: 0.001, high: 0.1}}}"
    searching = config.load("smoke", {"tuner": tuner})
    found = prepared.find(workspace, None)
    assert found.run_id == "20260101-000000"
    told = found.fn_args(settings, workspace, tmp_path / "out")
    assert told.train_files == [str(workspace.artifacts / "examples" / "Split-train" / "*")]
    assert told.transform_output == str(workspace.artifacts / "transform")
    assert told.custom_config["trainer"]["cache_dir"] == str(workspace.cache)
    assert told.hyperparameters["data_version"] == "1"
    best = workspace.artifacts / "best"
    best.mkdir()
    (best / "hyperparameters.json").write_text('{"tuned": {"optimiser.weight_decay": 0.05}}')
    found = dataclasses.replace(found, tuned=best)
    assert found.fn_args(settings, workspace, tmp_path).hyperparameters["data_version"] == "1"
    assert found.fn_args(searching, workspace, tmp_path).hyperparameters["tuned"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_workers_make_a_model_and_go_on_after_one_was_lost(workspace: Workspace, tmp_path: Path) -> None:
    examples = workspace.artifacts / "examples"
    train = lesions.write_split(examples / "Split-train", 96, seed=1)
    lesions.write_split(examples / "Split-eval", 64, seed=2)
    (workspace.artifacts / "transform").rmdir()
    transforming.analyse(train, workspace.artifacts / "transform")
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "pipeline", "train-worker", "--workspace", str(workspace.root), "--out", str(out),
        "--preset", "smoke", "--set", f"trainer.stages=[{{size: 64, epochs: {EPOCHS}}}]",
        "--set", "trainer.robustness_images=0",
    ]  # fmt: skip
    chief, other = processes.start(2, command)
    try:
        assert chief.stdout is not None
        said = ""
        for line in chief.stdout:
            said += line
            if f"epoch 2 of {EPOCHS}" in line:
                other.kill()
                break
        said += chief.communicate(timeout=200)[0]
    finally:
        chief.kill()
        other.kill()
    assert chief.returncode == 1, said
    assert "fault: " in said
    assert "start all of them again" in said
    assert not (out / "model").exists()

    told = processes.run(2, command)
    assert "resumed in stage 1 after epoch" in told[0]
    assert f"epoch 1 of {EPOCHS}" not in told[0]
    assert (
        f"measure it with  melanosizer evaluate --data /data/lesions --model {out}/model --preset smoke"
        in told[0]
    )
    assert "worker 2 of 2: done" in told[1]
    assert "epoch" not in told[1]
    history = json.loads((out / "run" / "history.json").read_text())
    assert [row["epoch"] for row in history["epochs"]] == list(range(1, EPOCHS + 1))
    assert history["config"]["distribution"] == "workers"
    assert not list((workspace.cache / "backup").iterdir())
    record = lesions.jpeg(lesions.picture(np.random.default_rng(5), True))
    answer = CppModel(out / "model").ask("serving_default", [record])
    assert 0 <= answer[features.PROBABILITY][0] <= 1
