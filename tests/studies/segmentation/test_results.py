"""The second study's parts, run one by one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from components.trainer.progress import Progress
from core.errors import RunFaultError
from core.workspace import Workspace
from pipeline.outcome import Outcome
from studies.segmentation import experiment, runner
from studies.segmentation.classifiers import FifthBlock
from studies.segmentation.config import SegmentationConfig
from studies.segmentation.experiment import FILE_NAME, Material, Result, SegmentationStudy, folds

ABOUT = {"data_version": "a", "folds": 5, "fold_epochs": 30, "seed": 1}


class Darkness:
    """Says how dark the middle is; each fold on a scale of its own."""

    name = "darkness"
    weights = "none"

    def __init__(self) -> None:
        self._fold = 0

    def extract(self, pictures: np.ndarray) -> np.ndarray:
        return (255.0 - pictures[:, 80:144, 80:144].mean(axis=(1, 2, 3))).astype(np.float32)

    def fit_predict(
        self, train: np.ndarray, targets: np.ndarray, held_out: np.ndarray, seed: int
    ) -> np.ndarray:
        self._fold += 1
        return (held_out / 255.0 + self._fold).astype(np.float32)


@pytest.fixture(scope="module")
def given() -> Material:
    """Twenty pictures, the positive ones dark in the middle; masks are right, or cover nothing of it."""
    draw = np.random.default_rng(3)
    targets = (np.arange(20) % 2).astype(np.int64)
    pictures = draw.integers(150, 160, (20, experiment.SIZE, experiment.SIZE, 3)).astype(np.uint8)
    pictures[targets == 1, 80:144, 80:144] -= 100
    truth = np.ones(pictures.shape[:3], bool)
    predicted = np.zeros(pictures.shape[:3], bool)
    return Material(pictures, truth, predicted, targets, folds(targets, 2, 1), np.ones(20))


def test_the_mean_of_the_folds_does_not_compare_answers_of_different_folds(given: Material) -> None:
    whole, true, predicted = experiment.run(given, Darkness(), 1, Progress()).arms
    assert whole.auc_of_folds == true.auc_of_folds == 1.0
    assert whole.auc.value < 0.8
    assert predicted.auc_of_folds == 0.5


@pytest.mark.slow
def test_the_fifth_block_learns_from_what_the_fourth_says(given: Material) -> None:
    classifier = FifthBlock("none", 32, 1)
    found = experiment.run(given, classifier, 1, Progress())
    assert found.classifier == "VGG-16, fifth block fine-tuned"
    assert found.weights == "none"
    assert classifier.extract(given.pictures[:2]).shape == (2, 2, 2, 512)
    assert [arm.variant for arm in found.arms] == list(experiment.VARIANTS)


def test_parts_are_kept_until_the_options_change(given: Material, tmp_path: Path) -> None:
    result = experiment.run(given, Darkness(), 1, Progress())
    other = Result.model_validate(result.model_dump() | {"classifier": "another"})
    study = SegmentationStudy.load(tmp_path, ABOUT).model_copy(update={"unet_run": "run"})
    study = study.with_result(result, 0.8)
    study.save(tmp_path)
    study = SegmentationStudy.load(tmp_path, ABOUT).with_result(other, 0.8).with_result(result, 0.8)
    assert [one.classifier for one in study.results] == ["another", "darkness"]
    study.save(tmp_path)
    assert SegmentationStudy.load(tmp_path, ABOUT) == study
    longer = SegmentationStudy.load(tmp_path, ABOUT | {"fold_epochs": 60})
    assert (longer.unet_run, longer.results) == ("run", ())
    assert SegmentationStudy.load(tmp_path, ABOUT | {"data_version": "b"}).unet_run is None
    (tmp_path / FILE_NAME).write_text("{")
    assert SegmentationStudy.load(tmp_path, ABOUT).unet_run is None


def test_the_documented_size_is_the_study_s() -> None:
    config = SegmentationConfig(depth=4, height=64, width=80)
    assert (config.height, config.width) == (64, 80)


def test_a_run_with_unfinished_steps_is_a_fault_and_not_a_result(tmp_path: Path) -> None:
    workspace, reason = Workspace(tmp_path), "unfinished steps: Pusher (FAILED)"
    folder = workspace.run("one")
    folder.mkdir(parents=True)
    Outcome(
        run_id="one", status="failed", reason=reason, preset="segmentation", data="data", data_version="0" * 64,
        started=datetime(2026, 11, 29, tzinfo=UTC), seconds=1.0, version=None, model="model", metrics=None,
        threshold=None, verdicts=(), steps=(),
    ).save(folder)  # fmt: skip
    with pytest.raises(RunFaultError, match=re.escape(reason)):
        runner.collect("one", workspace)
