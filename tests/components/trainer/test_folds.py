"""Folds keep groups together; members answer what they left out; a resumed run is the undisturbed one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from components.trainer.config import TrainerConfig
from components.trainer.data.records import DataError
from components.trainer.fit import folds
from components.trainer.fit.backup import Backup
from components.trainer.fit.staged import StagedTraining
from components.trainer.settings import StageConfig
from core.measures.auc import auc
from tests.support import trainer_arrays as arrays

DRAW = np.random.default_rng(5)
GROUPS = tuple(f"lesion {number}" for number in DRAW.integers(0, 60, 200))
TARGETS = DRAW.integers(0, 2, 200)


def test_a_group_lies_in_one_fold_and_folds_have_both_labels() -> None:
    numbers = folds.split(GROUPS, TARGETS, 4, seed=1)
    for group in set(GROUPS):
        assert len({n for n, g in zip(numbers.tolist(), GROUPS, strict=True) if g == group}) == 1
    assert set(numbers.tolist()) == {0, 1, 2, 3}
    assert (numbers == folds.split(GROUPS, TARGETS, 4, seed=1)).all()
    assert (numbers != folds.split(GROUPS, TARGETS, 4, seed=2)).any()


def test_too_many_folds_name_how_many_there_can_be() -> None:
    with pytest.raises(DataError, match="give at most 2 folds"):
        folds.split(["a", "b", "c", "d"], np.array([1, 1, 0, 0]), 3, seed=0)


def test_the_interval_holds_the_figure_and_is_wider_for_fewer_groups() -> None:
    probabilities = np.clip(TARGETS * 0.3 + DRAW.uniform(0, 0.7, 200), 0, 1)
    measures = {"auc": auc, "specificity": folds.specificity}
    many = folds.bootstrap([str(i) for i in range(200)], TARGETS, probabilities, measures, seed=3)
    few = folds.bootstrap([str(i % 8) for i in range(200)], TARGETS, probabilities, measures, seed=3)
    for name, measure in measures.items():
        assert many[name][0] < measure(TARGETS, probabilities) < many[name][1]
    assert few != many


def test_figures_are_those_counted_by_hand() -> None:
    # Ten positives, nine of them from 0.5 on; of ten negatives the seven at 0.1 lie below.
    targets = np.array([1] * 10 + [0] * 10)
    probabilities = np.array([0.3] + [0.5] * 4 + [0.9] * 5 + [0.1] * 7 + [0.5] * 2 + [0.7])
    groups = tuple(str(number) for number in range(20))
    halves = np.array([0, 1] * 10)
    found = folds.figures(
        folds.OutOfFold(np.zeros([20, 2], np.float32), halves, groups), targets, probabilities, 1
    )
    assert (found["wanted_sensitivity"], found["specificity"]) == (0.9, 0.7)
    # Pairs a positive wins: 0.3 over 7, 0.5 over 7 and half of 2, 0.9 over 10.
    assert found["auc"] == pytest.approx((7 + 4 * 8 + 5 * 10) / 100)
    # Twenty images are one bin: 0.46 stated on the mean, 0.5 seen, which is less than chance does.
    assert found["calibration_error"] == 0
    assert len(found["auc_by_fold"]) == 2
    for name in ("auc", "specificity", "calibration_error"):
        low, high = found[f"{name}_interval"]
        assert 0 <= low < high <= 1
    assert json.loads(json.dumps(found)) == found


def test_one_group_leaves_nothing_to_draw_from() -> None:
    targets, probabilities = np.array([1, 0, 1, 0]), np.array([0.9, 0.2, 0.4, 0.6])
    measures = {"auc": auc, "specificity": folds.specificity}
    for name, (low, high) in folds.bootstrap(["a"] * 4, targets, probabilities, measures, seed=1).items():
        assert low == high == measures[name](targets, probabilities)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"folds": 1}, "folds=1: give 0"),
        ({"folds": 3, "strategy": "frozen"}, "folds=3 with strategy=frozen"),
        ({"distil_from": "pushed:7", "strategy": "frozen"}, "distil_from=pushed:7 with strategy=frozen"),
        ({"distil_from": "/models/7"}, "pushed"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TrainerConfig.model_validate({"strategy": "fine_tune", **change})


CONFIG = arrays.CONFIG.model_copy(
    update={"stages": (StageConfig(size=32, epochs=0.5), StageConfig(size=32, epochs=0.5)), "folds": 2}
)


@pytest.mark.slow
def test_each_fold_is_a_member_and_an_interrupted_run_ends_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = arrays.train(CONFIG, tmp_path / "whole")
    found = whole.answers.out_of_fold
    assert found is not None
    assert len(whole.classifier.members) == 4  # two snapshots each
    np.testing.assert_allclose(
        found.class_probabilities.sum(axis=1), 1.0, atol=1e-5
    )  # every image was left out once
    assert [row["stage"] for row in whole.file("history.json")["epochs"]] == [0, 1, 2, 3]
    figures = folds.figures(found, arrays.data().train.targets, found.class_probabilities[:, 1], seed=1)
    assert figures["auc_interval"][0] <= figures["auc"] <= figures["auc_interval"][1]
    assert (len(figures["auc_by_fold"]), figures["images"], figures["positives"]) == (2, 64, 16)

    begun = []
    run = StagedTraining.run

    class KilledError(Exception):
        pass

    def until_the_second(self: StagedTraining) -> object:
        begun.append(self)
        if len(begun) == 2:
            raise KilledError
        return run(self)

    with monkeypatch.context() as interrupted:
        interrupted.setattr(StagedTraining, "run", until_the_second)
        with pytest.raises(KilledError):
            arrays.train(CONFIG, tmp_path / "killed", tmp_path / "cache")
    capfd.readouterr()
    resumed = arrays.train(CONFIG, tmp_path / "resumed", tmp_path / "cache")
    assert "fold 1 of 2  resumed in stage 2" in capfd.readouterr().err
    np.testing.assert_array_equal(resumed.class_probabilities, whole.class_probabilities)
    assert resumed.answers.out_of_fold is not None
    np.testing.assert_array_equal(resumed.answers.out_of_fold.class_probabilities, found.class_probabilities)
    assert [row["stage"] for row in resumed.file("history.json")["epochs"]] == [0, 1, 2, 3]
    backup = Backup(tmp_path / "cache" / "backup.npz")
    assert len(list(backup.path.parent.glob("backup*"))) == 2
    backup.clear()
    assert not list(backup.path.parent.glob("backup*"))
