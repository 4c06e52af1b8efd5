import dataclasses

import pytest

from pipeline.report import training
from pipeline.report.evidence import Evidence
from tests.support import fake_run


def _evidence(pushed, **changes):
    return Evidence(
        result=pushed.result, **{"config": fake_run.CONFIG, "history": fake_run.history(), **changes}
    )


def _config(**trainer):
    return {**fake_run.CONFIG, "trainer": {**fake_run.CONFIG["trainer"], **trainer}}


def test_the_best_epoch_of_each_stage_that_is_in_the_model_is_kept(pushed):
    found = training.of(_evidence(pushed, config=_config(keep="best")))
    # Epoch 8, the last of the first stage, was made worse than epoch 7.
    assert found is not None
    assert found.kept == [6, 11]
    assert (found.stages, found.positives) == (2, 49)


def test_the_last_epoch_of_each_stage_is_kept_where_the_trainer_keeps_the_last(pushed):
    found = training.of(_evidence(pushed, config=_config(keep="last")))
    assert found is not None
    assert found.kept == [7, 11]


def test_a_stage_without_snapshot_keeps_nothing(pushed):
    found = training.of(_evidence(pushed, config=_config(stages=[{"snapshot": False}, {"snapshot": True}])))
    assert found is not None
    assert found.kept == [11]


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_stage_without_snapshot_keeps_nothing_in_any_fold(pushed, keep):
    history = fake_run.history()
    history["epochs"] += [{**row, "stage": row["stage"] + 2} for row in history["epochs"]]
    config = _config(stages=[{"snapshot": False}, {"snapshot": True}], folds=2, keep=keep)
    found = training.of(_evidence(pushed, config=config, history=history))
    assert found is not None
    assert found.stages == 4
    assert found.kept == [11, 23]


def test_of_frozen_heads_only_the_best_is_kept(pushed):
    config = {**fake_run.CONFIG, "trainer": {"strategy": "frozen"}}
    history = fake_run.history()
    history["epochs"][3]["eval_auc"] = 0.99
    found = training.of(_evidence(pushed, config=config, history=history))
    assert found is not None
    assert found.kept == [3]
    assert found.frozen


def test_measures_that_were_not_taken_have_no_chart(pushed):
    found = training.of(_evidence(pushed, history={"epochs": [{"loss": 1.0}, {"loss": float("nan")}]}))
    assert found is not None
    assert found.loss is not None
    assert found.auc is None
    assert found.false_negatives is None
    assert found.seconds is None


def test_no_epochs_no_curves(pushed):
    assert training.of(_evidence(pushed, history=None)) is None
    assert training.of(_evidence(pushed, history={"epochs": []})) is None
    assert dataclasses.fields(training.Training)


def test_the_learning_rate_finder_is_drawn_and_says_what_came_of_it(pushed):
    seen = {
        "rates": [1e-6, 1e-4, 1e-2, 1.0], "losses": [2.0, 1.5, 1.0, 90.0], "smoothed": [2.0, 1.6, 1.2, 30.0],
        "steepest": 1e-4, "highest": 1e-3, "choose": "steepest",
        "body_learning_rate": 1e-4, "head_learning_rate": 7e-4,
    }  # fmt: skip
    found = training.of(_evidence(pushed, finder=seen))
    assert found is not None
    assert found.finder is not None
    assert found.finder.lowest == 1e-2
    assert "fell fastest at 0.0001" in found.finder.chart
    assert training.of(_evidence(pushed)).finder is None


def test_the_tuners_trials_are_listed_best_first(pushed):
    seen = {
        "tuned": {"head.dropout": 0.3},
        "trials": [
            {"trial_id": "0", "score": 0.81, "head.dropout": 0.5},
            {"trial_id": "1", "score": 0.84, "head.dropout": 0.3},
        ],
    }
    found = training.of(_evidence(pushed, trials=seen))
    assert found is not None
    assert found.trials == training.Trials(["head.dropout"], [(0.84, [0.3]), (0.81, [0.5])])
