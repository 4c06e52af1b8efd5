"""The whole pipeline on synthetic lesions: what is pushed, what is refused, what a second run does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from components.evaluator import predictions
from components.trainer.config import TrainerConfig
from core.errors import UsageError
from core.features import MODEL_NAME
from core.measures.auc import auc
from core.registry.store import Registry
from core.workspace import Workspace
from pipeline import demonstration
from pipeline.outcome import Outcome

# One workspace for all runs here: each test goes on where the one before ended.
pytestmark = pytest.mark.random_order(disabled=True)
Runner = Callable[..., tuple[Outcome, str]]

ALWAYS_RUN = {"Resolver", "Pusher", "RegistryRecord"}


def _cached(outcome: Outcome) -> set[str]:
    return {step.name for step in outcome.steps if step.state == "CACHED"}


def _names(outcome: Outcome) -> set[str]:
    return {step.name for step in outcome.steps}


@pytest.fixture(autouse=True)
def _after_the_first_run(first: tuple[Outcome, str]) -> None:
    """Every test here builds on what the first run left."""


def test_a_first_run_pushes_a_version_and_serves_it(first, workspace: Workspace):
    outcome, output = first
    assert (outcome.status, outcome.exit_code, outcome.reason) == ("pushed", 0, "")
    registry = Registry(workspace.root, MODEL_NAME)
    assert registry.versions() == [outcome.version]
    assert registry.channels().stable == outcome.version
    assert (registry.served / outcome.version / "saved_model.pb").is_file()
    assert outcome.version in (workspace.serving / "models.config").read_text()
    assert "[14/14] registry" in output


def test_the_artifacts_hold_no_second_copy_of_the_images(first, cohort: Path):
    shards = {path.stat().st_ino for path in cohort.rglob("*.tfrecord.gz")}
    taken = {path.stat().st_ino for path in first[0].uri("ImportExampleGen", "examples").rglob("*.gz")}
    # Other files only where the file system copies on write.
    assert taken == shards or (len(taken) == len(shards) and not taken & shards)


def test_every_gate_left_a_verdict_with_every_check(first):
    outcome, _ = first
    assert [verdict.gate for verdict in outcome.verdicts] == ["data", "model", "serving"]
    assert all(verdict.passed and verdict.checks for verdict in outcome.verdicts)


def test_the_first_model_is_said_to_be_compared_with_none(first):
    outcome, _ = first
    model = next(verdict for verdict in outcome.verdicts if verdict.gate == "model")
    assert "not compared" in next(check.detail for check in model.checks if check.metric == "auc")
    assert "auc_change" not in {check.metric for check in model.checks}


def test_the_record_names_data_configuration_and_hashes(first, workspace: Workspace, cohort: Path):
    outcome, _ = first
    record = Registry(workspace.root, MODEL_NAME).record(outcome.version)
    manifest = json.loads((cohort / "manifest.json").read_text())
    assert record.parents.data_version == manifest["data_version"] == outcome.data_version
    assert record.parents.baseline_version is None
    assert record.config["trainer"]["backbone"] == "tiny_cnn"
    assert record.model["model_version"] == outcome.version
    assert record.metrics["auc"] == pytest.approx(outcome.metrics.auc)
    assert sum(sum(split.values()) for split in record.label_counts.values()) == 240


def test_the_evaluator_and_the_serving_signature_agree(first):
    # An export with other standardisation constants once had AUC 0.99 in training and 0.85 here.
    outcome, _ = first
    answers = predictions.load(outcome.uri("Evaluator", "evaluation"))
    labels, scores = predictions.arrays(answers)
    assert len(answers) == outcome.metrics.positives + outcome.metrics.negatives
    assert auc(labels, scores) == pytest.approx(outcome.metrics.auc, abs=0.01)
    decided = sum(p.probability >= p.threshold and p.target == 1 for p in answers)
    assert decided == outcome.metrics.true_positives


def test_the_served_model_answers_over_grpc(first, workspace: Workspace, cohort: Path):
    outcome, _ = first
    answer = demonstration.ask(workspace, MODEL_NAME, cohort)
    assert answer.version == outcome.version
    assert 0 <= answer.probability <= 1
    assert answer.decision == (answer.probability >= answer.threshold)


def test_a_second_run_comes_from_the_cache_and_pushes_nothing(first, run: Runner, workspace: Workspace):
    outcome, _ = run()
    assert outcome.status == "unchanged"
    assert outcome.exit_code == 0
    assert outcome.version == first[0].version
    assert _names(outcome) - _cached(outcome) == ALWAYS_RUN
    assert len(Registry(workspace.root, MODEL_NAME).versions()) == 1


@pytest.mark.parametrize(
    ("limits", "gate", "sentences"),
    [
        (
            {
                "evaluator__min_auc": 1.0,
                "evaluator__min_slice_auc": 1.0,
                "evaluator__min_slice_positives": 1,
                "evaluator__min_slice_negatives": 1,
            },
            "model",
            ["auc is 0.", "auc on "],
        ),
        ({"serving_check__max_latency_ms": 1e-6}, "serving", ["latency_ms is "]),
    ],
)
def test_a_model_gate_refuses_and_nothing_is_pushed(
    limits, gate, sentences, run: Runner, workspace: Workspace
):
    outcome, _ = run(**limits)
    assert (outcome.status, outcome.exit_code) == ("refused", 3)
    for sentence in sentences:
        assert sentence in outcome.reason
    assert [verdict.gate for verdict in outcome.verdicts if not verdict.passed] == [gate]
    assert "Trainer" in _cached(outcome), "a stricter gate must not train again"
    assert len(Registry(workspace.root, MODEL_NAME).versions()) == 1


def test_an_implausible_share_of_melanoma_stops_before_training(run: Runner):
    outcome, _ = run(balance__min_positive_share=0.45)
    assert (outcome.status, outcome.exit_code) == ("refused", 3)
    assert "positive_share on split:train" in outcome.reason
    assert "Trainer" not in _names(outcome)
    assert "Transform" not in _names(outcome)


def test_a_patient_on_two_sides_stops_before_training(run: Runner, cohort: Path, tmp_path: Path):
    poisoned = tmp_path / "poisoned"
    shutil.copytree(cohort, poisoned)
    (train,), (test,) = (sorted((poisoned / split).glob("*.gz")) for split in ("train", "test"))
    records = list(tf.data.TFRecordDataset(str(test), "GZIP").as_numpy_iterator())
    stolen = next(tf.data.TFRecordDataset(str(train), "GZIP").as_numpy_iterator())
    with tf.io.TFRecordWriter(str(test), "GZIP") as writer:
        for record in [*records, stolen]:
            writer.write(record)
    outcome, _ = run(poisoned)
    assert (outcome.status, outcome.exit_code) == ("refused", 3)
    assert "groups_in_two_splits is 1" in outcome.reason
    assert " in test, train" in outcome.reason
    assert "Transform" not in _names(outcome)


def test_a_step_that_fails_is_a_fault_with_its_reason(run: Runner, tmp_path: Path):
    damaged = tmp_path / "weights.h5"
    damaged.write_bytes(b"no weights")
    outcome, _ = run(trainer__weights=damaged)
    assert (outcome.status, outcome.exit_code) == ("failed", 1)
    assert str(damaged) in outcome.reason


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ({"trainer__weights": "/nowhere/weights.pth"}, "/nowhere/weights.pth: no such file"),
        ({"trainer__weights": "pushed:VERSION"}, r"released in this workspace: \d+"),
        ({"trainer__backbone": "resnet5"}, "'resnet5' is unknown"),
    ],
)
def test_a_mistake_ends_the_run_before_its_first_step(
    mistake: dict[str, str], says: str, run: Runner, workspace: Workspace
):
    before = sorted(workspace.runs.iterdir())
    with pytest.raises(UsageError, match=says):
        run(**mistake)
    assert sorted(workspace.runs.iterdir()) == before


@pytest.mark.slow
def test_an_interrupted_run_is_taken_up_by_the_next(run: Runner, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # TFX reloads the module of the function it calls, so the interrupt is put one call deeper.
        patch.setattr(TrainerConfig, "model_validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(trainer__seed=99)
    outcome, _ = run(trainer__seed=99)
    assert outcome.status == "pushed"
    assert "Transform" in _cached(outcome)
    assert "Trainer" not in _cached(outcome)


@pytest.mark.slow
def test_another_model_is_held_against_the_one_blessed_before(run: Runner, workspace: Workspace, first):
    outcome, _ = run(trainer__seed=99)
    record = Registry(workspace.root, MODEL_NAME).record(outcome.version)
    assert record.parents.baseline_version == first[0].version
    checks = {check.metric for verdict in record.verdicts for check in verdict.checks}
    assert "auc_change" in checks
