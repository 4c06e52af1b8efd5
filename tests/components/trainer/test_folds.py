"""Folds keep groups together; members answer what they left out; a resumed run is the undisturbed one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import conftest
import numpy as np
import pytest
from pydantic import ValidationError

from components.trainer import folds
from components.trainer.config import StageConfig, TrainerConfig
from components.trainer.records import DataError
from components.trainer.scores import auc
from components.trainer.staged import StagedTraining

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
    many = folds.bootstrap([str(i) for i in range(200)], TARGETS, probabilities, seed=3)
    few = folds.bootstrap([str(i % 8) for i in range(200)], TARGETS, probabilities, seed=3)
    assert many[0] < auc(TARGETS, probabilities) < many[1]
    assert few != many


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


CONFIG = conftest.TINY.model_copy(
    update={
        "image_size": 32,
        "stages": (StageConfig(size=32, epochs=1), StageConfig(size=32, epochs=1, snapshot=False)),
        "batch_size": 32,
        "tta": 1,
        "folds": 3,
    }
)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_each_fold_is_a_member_and_an_interrupted_run_ends_the_same(
    data: conftest.Data,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported: list[dict[str, object]] = []
    monkeypatch.setattr(
        "components.trainer.export.write", lambda *_, metadata, **more: exported.append(metadata)
    )
    whole = conftest.train(data, CONFIG, tmp_path / "whole")
    assert len(exported[0]["backbone"]["members"]) == 3  # type: ignore[index]
    metrics = json.loads((whole.run / "metrics.json").read_text())
    found = metrics["cross_validated"]
    answers = rows(whole.run / "out_of_fold_predictions.csv")
    targets = np.array([int(row["target"]) for row in answers])
    assert len(answers) == found["images"] == 96
    assert auc(targets, np.array([float(row["probability"]) for row in answers])) == pytest.approx(
        found["auc"], abs=1e-3
    )
    assert found["auc_interval"][0] <= found["auc"] <= found["auc_interval"][1]
    assert len(found["auc_by_fold"]) == 3
    assert "cross-validated AUC" in capfd.readouterr().err
    history = json.loads((whole.run / "history.json").read_text())["epochs"]
    assert [row["stage"] for row in history] == [0, 1, 2, 3, 4, 5]

    class Killed(BaseException):
        pass

    begun = []
    run = StagedTraining.run

    def until_the_third(self: StagedTraining) -> object:
        begun.append(self)
        if len(begun) == 3:
            raise Killed
        return run(self)

    config = CONFIG.model_copy(update={"cache_dir": str(tmp_path / "cache")})
    with monkeypatch.context() as interrupted:
        interrupted.setattr(StagedTraining, "run", until_the_third)
        with pytest.raises(Killed):
            conftest.train(data, config, tmp_path / "killed")
    resumed = conftest.train(data, config, tmp_path / "resumed")
    said = capfd.readouterr().err
    assert "fold 1 of 3  resumed in stage 2" in said
    for name in ("out_of_fold_predictions.csv", "eval_predictions.csv"):
        assert (resumed.run / name).read_text() == (whole.run / name).read_text()
    again = json.loads((resumed.run / "history.json").read_text())["epochs"]
    assert [row["stage"] for row in again] == [0, 1, 2, 3, 4, 5]
    assert not list((tmp_path / "cache" / "backup").iterdir())
