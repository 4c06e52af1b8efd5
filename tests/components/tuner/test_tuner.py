"""TFX's Tuner, keras-tuner and our own training together; what comes out reaches the Trainer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.trainer.config import TrainerConfig
from components.trainer.run import run_fn
from components.trainer.settings import StageConfig
from components.tuner import component, search
from components.tuner.config import Choice, Range, TunerConfig
from tests.support import trainer_arrays as arrays

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

CONFIG = arrays.CONFIG.model_copy(update={"stages": (StageConfig(size=32, epochs=4),)})
SPACE = {
    "optimiser.body_learning_rate": Range(low=1e-4, high=1e-2, log=True),
    "head.dropout": Choice(values=(0.0, 0.3)),
}


def test_settings_are_set_by_dotted_key_through_lists_too() -> None:
    found = CONFIG.tuned({"stages.0.rate": 0.5, "optimiser.weight_decay": 0.1, "batch_size": 8})
    assert (found.stages[0].rate, found.optimiser.weight_decay, found.batch_size) == (0.5, 0.1, 8)
    assert CONFIG.tuned({}) == CONFIG


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"optimiser.momentun": 0.9}, "at 'momentun' there are .*momentum"),
        ({"stages.1.rate": 0.9}, "at '1' there are 0"),
        ({"head.dropout.share": 0.9}, "no such key"),
        ({"head.dropout": 2.0}, "head.dropout = 2.0: Input should be less than 1"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CONFIG.tuned(values)


@pytest.mark.parametrize(
    ("config", "space", "says"),
    [
        ({"backbone": "resnet5"}, SPACE, "'resnet5' is unknown; valid: .*tiny_cnn"),
        ({}, {"backbone": Choice(values=("tiny_cnn", "resnet5"))}, "'resnet5' is unknown"),
        ({}, {"backbone": Choice(values=("tiny_cnn", "base_cnn"))}, "32 px is too small for base_cnn"),
    ],
)
def test_a_network_that_cannot_be_is_told_before_an_image_is_read(
    config: dict[str, object], space: dict[str, Choice], says: str, tmp_path: Path
) -> None:
    trainer = {**CONFIG.model_dump(mode="json"), **config}
    given = {"trainer": trainer, "tuner": TunerConfig(space=space).model_dump(mode="json")}
    with pytest.raises(ValueError, match=says):
        search.tuner_fn(SimpleNamespace(custom_config=given, working_dir=str(tmp_path)))


def test_a_trial_is_the_training_shortened() -> None:
    full = CONFIG.model_copy(update={"folds": 5, "max_minutes": 60.0, "litert": ("int8",)})
    found = search.shortened(full, 0.25)
    assert (found.stages[0].epochs, found.max_minutes, found.folds, found.litert) == (1.0, 15.0, 0, ())


def test_the_same_seed_proposes_the_same_within_the_declared_space() -> None:
    proposed = []
    for _ in range(2):
        oracle = search.oracle(TunerConfig(trials=3, space=SPACE, algorithm="random"), seed=5)
        proposed.append([oracle.populate_space(str(number))["values"] for number in range(3)])
    assert proposed[0] == proposed[1]
    for values in proposed[0]:
        assert 1e-4 <= values["optimiser.body_learning_rate"] <= 1e-2
        assert values["head.dropout"] in (0.0, 0.3)


def test_the_best_of_the_trials_reaches_the_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfx.components.tuner import executor
    from tfx.types import standard_artifacts

    settings = TunerConfig(trials=3, effort=0.25, space=SPACE, algorithm="random")
    tried: list[TrainerConfig] = []
    score = search.score

    def failing_first(config: TrainerConfig, *rest: object) -> float:
        tried.append(config)
        if len(tried) == 1:
            raise FloatingPointError("the loss is nan")
        return score(config, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(search, "score", failing_first)
    monkeypatch.setattr("components.trainer.fit.training.read", lambda *_: arrays.data())
    given = {"trainer": CONFIG.model_dump(mode="json"), "tuner": settings.model_dump(mode="json")}
    result = search.tuner_fn(SimpleNamespace(custom_config=given, working_dir=str(tmp_path / "work")))
    result.tuner.search(**result.fit_kwargs)
    assert [config.stages[0].epochs for config in tried] == [1.0] * 3
    outputs = {
        "best_hyperparameters": standard_artifacts.HyperParameters(),
        "tuner_results": standard_artifacts.TunerResults(),
    }
    for name, artifact in outputs.items():
        artifact.uri = str(tmp_path / name)
        Path(artifact.uri).mkdir()
    executor.write_best_hyperparameters(result.tuner, {name: [one] for name, one in outputs.items()})
    best, trials = (component.only(Path(one.uri)) for one in outputs.values())
    assert len(trials) == 2  # the one that diverged has no score
    merged = component.merged({"label_counts": {"0": 36, "1": 12}}, best, trials)
    assert merged["label_counts"] == {"0": 36, "1": 12}
    assert merged["tuned"] == {key: max(trials, key=lambda row: row["score"])[key] for key in SPACE}

    trained: list[TrainerConfig] = []

    class StopError(Exception):
        pass

    def train(config: TrainerConfig, *_: object) -> None:
        trained.append(config)
        raise StopError

    monkeypatch.setattr("components.trainer.fit.training.train", train)
    with pytest.raises(StopError):
        run_fn(
            SimpleNamespace(
                custom_config=given,
                hyperparameters=merged,
                serving_model_dir=str(tmp_path / "model"),
                model_run_dir=str(tmp_path / "run"),
            )
        )
    assert trained[0].optimiser.body_learning_rate == merged["tuned"]["optimiser.body_learning_rate"]
    assert trained[0].head.dropout == merged["tuned"]["head.dropout"]
    assert json.loads((tmp_path / "run" / "trials.json").read_text())["trials"] == trials
