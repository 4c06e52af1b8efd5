"""`melanosizer study` from pictures to reports: small data, the whole way."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from typer.testing import CliRunner

from core.errors import FAULT, UsageError
from core.registry.store import Registry
from core.workspace import Workspace
from dashboard.readers.evidence import Evidence
from dashboard.readers.runs import RunFiles
from pipeline.__main__ import app
from studies.ladder import networks as ladder
from studies.ladder import rungs
from studies.ladder.networks import Experiment
from studies.segmentation.classifiers import FrozenLinear
from studies.segmentation.config import SegmentationConfig
from tests.support.html_document import Document

runner = CliRunner()
WIDE = {"COLUMNS": "200"}


@pytest.fixture(scope="module")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 procedural lesions with masks."""
    folder = tmp_path_factory.mktemp("study") / "raw"
    made = runner.invoke(
        app,
        [
            "synth",
            "--images",
            "60",
            "--seed",
            "5",
            "--out",
            str(folder),
            "--size",
            "96",
            "--melanoma-share",
            "0.4",
        ],
    )
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture(scope="module")
def ingested(lesions: Path) -> Path:
    out = lesions.parent / "data"
    done = runner.invoke(
        app,
        [
            "ingest",
            "--source",
            f"csv:{lesions / 'metadata.csv'},images={lesions / 'images'}",
            "--out",
            str(out),
            "--fractions",
            "0.5/0.25/0.25",
        ],
    )
    assert done.exit_code == 0, done.output
    return out


def checked(path: Path) -> Document:
    """Read a report as a browser would."""
    html = path.read_text()
    document = Document(html)
    assert not document.open
    assert not document.tags & {"script", "link", "iframe"}
    assert "style" not in document.attributes
    assert all(source.startswith("data:image/") for source in document.sources)
    assert len(set(document.ids)) == len(document.ids)
    assert all(link[1:] in document.ids for link in document.links)
    return document


@pytest.mark.slow
def test_a_u_net_is_trained_judged_pushed_and_answers_and_the_three_arms_are_compared(
    lesions, tmp_path, monkeypatch
):
    small = SegmentationConfig(height=16, width=16, depth=1, filters=2, batch_size=8, views=1)
    monkeypatch.setattr("studies.segmentation.config.STUDY", small)
    monkeypatch.setattr("studies.segmentation.classifiers.FrozenLinear", lambda *_: FrozenLinear("none", 64))
    workspace = tmp_path / "ws"
    done = runner.invoke(
        app,
        [
            "study", "segmentation", "--data", str(lesions), "--workspace", str(workspace),
            "--folds", "2", "--fold-epochs", "1", "--weights", "none",
            *(
                text
                for value in (
                    "height=32", "width=32", "depth=1", "filters=4", "epochs=8", "batch_size=8", "views=1",
                    "min_jaccard=0.05", "min_dice=0.05", "min_worst_tenth=0",
                )
                for text in ("--set", value)
            ),
        ],
        env=WIDE,
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    registry = Registry(workspace, "segmentation")
    (version,) = registry.versions()
    assert registry.channels().stable == version
    assert registry.record(version).metrics["jaccard"] > 0.05
    assert "segmentation" in (workspace / "serving" / "models.config").read_text()
    picture = Image.new("RGB", (90, 50), (220, 180, 170))
    stream = io.BytesIO()
    picture.save(stream, "JPEG")
    # The pipeline's own check has asked it through the C++ loader already.
    answer = tf.saved_model.load(str(registry.served / version)).signatures["segment"]
    found = answer(image_bytes=tf.constant([stream.getvalue()]))
    mask = Image.open(io.BytesIO(found["mask"].numpy()[0]))
    assert mask.size == (90, 50)
    assert set(np.unique(np.asarray(mask))) <= {0, 255}
    document = checked(workspace / "studies" / "segmentation" / "report.html")
    assert "Every check of the gates held" in document.text
    assert "predicted mask" in document.text
    assert len(document.sources) >= 9
    (run,) = (json.loads(path.read_text()) for path in workspace.glob("runs/*/run.json"))
    assert (run["status"], run["version"], run["preset"]) == ("pushed", version, "studies/segmentation")
    written = json.loads((workspace / "studies" / "segmentation" / "experiment.json").read_text())
    assert written["unet_run"] == run["run_id"]
    (result,) = written["results"]
    assert [arm["variant"] for arm in result["arms"]] == ["unaltered", "true mask", "predicted mask"]
    assert result["images"] == 60
    assert result["arms"][0]["p_auc"] is None
    assert 0 <= result["arms"][2]["p_auc"] <= 1


@pytest.mark.slow
def test_a_gate_that_refuses_ends_with_3_and_pushes_nothing(lesions, tmp_path):
    done = runner.invoke(
        app,
        [
            "study", "segmentation", "--data", str(lesions), "--workspace", str(tmp_path), "--parts", "unet",
            "--set", "height=16", "--set", "width=16", "--set", "depth=1", "--set", "filters=2",
            "--set", "epochs=1", "--set", "min_jaccard=0.999",
        ],
        env=WIDE,
    )  # fmt: skip
    assert done.exit_code == 3, (done.output, done.exception)
    assert "must be >= 0.999" in done.output
    assert not Registry(tmp_path, "segmentation").versions()


@pytest.fixture
def small_ladder(monkeypatch: pytest.MonkeyPatch) -> dict[str, Experiment]:
    """Two rungs of a tiny network, the second from the first; of the smallest pictures."""
    config = rungs.presets()["01-base-1e-8"].trainer
    small = config.model_copy(
        update={
            "backbone": "tiny_cnn",
            "batch_size": 8,
            "stages": (config.stages[0].model_copy(update={"size": 48, "epochs": 1}),),
            "head": config.head.model_copy(update={"units": (8,)}),
        }
    )
    study = rungs.presets()["01-base-1e-8"].study
    made = {
        "01-first": Experiment(title="First", network="tiny", study=study, trainer=small),
        "02-second": Experiment(
            title="Second", network="tiny", study=study, trainer=small, warm_start="01-first"
        ),
    }
    monkeypatch.setattr(rungs, "presets", lambda: made)
    monkeypatch.setattr("studies.ladder.runner.SIZE", 64)
    return made


def in_this_process(job, _, progress):
    """Stand in for `own_process.run`: the import of TensorFlow is what takes the time."""
    return job(progress)


@pytest.mark.slow
def test_the_ladder_runs_resumes_and_compares(ingested, tmp_path, small_ladder, monkeypatch):
    arguments = ["study", "ladder", "--data", str(ingested), "--workspace", str(tmp_path)]
    one = runner.invoke(app, [*arguments, "--rungs", "first"], env=WIDE)
    assert one.exit_code == 0, (one.output, one.exception)
    folder = tmp_path / "studies" / "ladder"
    written = (folder / "01-first.json").stat().st_mtime_ns
    monkeypatch.setattr("studies.ladder.own_process.run", in_this_process)
    both = runner.invoke(app, arguments, env=WIDE)
    assert both.exit_code == 0, (both.output, both.exception)
    assert "first weights" in both.output
    again = runner.invoke(app, [*arguments, "--rungs", "second"], env={"COLUMNS": "80"})
    assert again.exit_code == 0, (again.output, again.exception)
    assert re.search(r"│ 02-second +│ 0\.\d+ \(0\.\d+ to \d\.\d+\) +│", again.output)
    assert (folder / "01-first.json").stat().st_mtime_ns == written
    first, second = (json.loads((folder / f"{name}.json").read_text()) for name in small_ladder)
    assert second["weights"] == "from rung 01-first"
    assert first["parameters"] == second["parameters"]
    document = checked(folder / "report.html")
    assert "2 of 2 rungs measured" in document.text
    assert "0.7415" in document.text
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert [name[16:].rpartition("-")[0] for name in runs] == ["ladder-01-first", "ladder-02-second"]
    assert all(re.match(r"\d{8}-\d{6}-", name) for name in runs)
    outcome = json.loads((tmp_path / "runs" / runs[0] / "run.json").read_text())
    assert outcome["version"] is None
    assert outcome["metrics"]["auc"] == pytest.approx(first["auc"]["value"])
    assert outcome["data"] == str(ingested.resolve())
    # What the dashboard compares.
    files = RunFiles(Workspace(tmp_path))
    evidence = Evidence(files)
    for name, measured in zip(runs, (first, second), strict=True):
        assert files.run(name).of_a_study
        assert len(evidence.of_run(name)) == measured["images"]
        assert evidence.quality(name).auc.value == pytest.approx(measured["auc"]["value"])
        (epoch,) = evidence.epochs(name)
        assert epoch.false_negatives is not None
    # No report of a run of the pipeline can be made of a rung.
    with pytest.raises(UsageError, match="no run has finished there yet"):
        raise runner.invoke(app, ["report", "--workspace", str(tmp_path)]).exception
    with pytest.raises(UsageError, match="is a study's; its report is in"):
        raise runner.invoke(app, ["report", "--workspace", str(tmp_path), "--run", runs[0]]).exception


@pytest.mark.slow
def test_a_rung_that_fails_is_named_and_the_others_go_on(ingested, tmp_path, small_ladder, monkeypatch):
    third = small_ladder["01-first"].model_copy(update={"title": "Third"})
    small_ladder["03-third"] = third
    run_experiment, trained = ladder.run_experiment, []

    def failing(name, *arguments, **options):
        if name == "01-first":
            raise FloatingPointError("the loss is nan")
        trained.append(run_experiment(name, *arguments, **options))
        return trained[-1]

    def told(name, *_, own_key, **__):
        measured, weights = trained[0]
        return measured.model_copy(update={"name": name, "key": own_key}), weights

    # Another process would not know of it.
    monkeypatch.setattr("studies.ladder.own_process.run", in_this_process)
    monkeypatch.setattr(ladder, "run_experiment", failing)
    arguments = ["study", "ladder", "--data", str(ingested), "--workspace", str(tmp_path)]
    done = runner.invoke(app, arguments, env=WIDE)
    assert done.exit_code == FAULT
    assert "failed: 01-first: the loss is nan" in done.output
    assert "failed: 02-second: starts from 01-first, which failed" in done.output
    assert (tmp_path / "studies" / "ladder" / "03-third.json").exists()
    document = checked(tmp_path / "studies" / "ladder" / "report.html")
    assert "1 of 3 rungs measured" in document.text
    assert "01-first failed: the loss is nan" in document.text
    monkeypatch.setattr(ladder, "run_experiment", told)
    mended = runner.invoke(app, arguments, env=WIDE)
    assert mended.exit_code == 0, (mended.output, mended.exception)
    assert "3 of 3 rungs measured" in (tmp_path / "studies" / "ladder" / "report.html").read_text()


def test_the_retrain_flow_leaves_its_mistakes(ingested, tmp_path):
    done = runner.invoke(
        app,
        [
            "study", "retrain", "--data", str(ingested), "--workspace", str(tmp_path), "--backbone", "tiny_cnn",
            "--weights", "none", "--size", "75", "--steps", "20", "--batch-size", "8",
        ],
        env=WIDE,
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    document = checked(tmp_path / "studies" / "retrain" / "report.html")
    lines = (tmp_path / "studies" / "retrain" / "misclassified.csv").read_text().splitlines()
    assert lines[0] == "image_name,target,probability"
    assert f"{len(lines) - 1} misclassified" in document.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segmentation", "--data", "/nowhere"], "--data /nowhere: no folder images/"),
        (
            ["segmentation", "--data", "/nowhere", "--parts", "all"],
            "--parts all: valid are unet, experiment, vgg16",
        ),
        (
            ["segmentation", "--data", "/nowhere", "--set", "layers=3"],
            "layers: unknown key; valid: augmentation,",
        ),
        (["segmentation", "--data", "/nowhere", "--set", "height=100"], "must be a multiple of 16"),
        (["ladder", "--data", ".", "--rungs", "30"], "--rungs 30: no such rung; there are 01-base"),
        (["ladder", "--data", ".", "--weights", "vgg16"], "--weights vgg16: give BACKBONE=PATH"),
        (["retrain", "--data", ".", "--random-crop", "95"], "random_crop = 95"),
    ],
)
def test_a_mistake_is_a_usage_error(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(app, ["study", *arguments])
    assert isinstance(done.exception, UsageError), done.output
    assert message in str(done.exception)


def test_labels_that_are_missing_are_named_before_anything_is_trained(lesions, tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name in ("images", "masks"):
        (folder / name).symlink_to(lesions / name)
    done = runner.invoke(
        app, ["study", "segmentation", "--data", str(folder), "--workspace", str(tmp_path / "w")]
    )
    assert isinstance(done.exception, UsageError), done.output
    assert "needs every label: a pairs.csv" in str(done.exception)
    assert not list((tmp_path / "w").glob("runs/*"))
