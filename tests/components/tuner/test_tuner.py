"""TFX's Tuner, keras-tuner and our own training together; what comes out reaches the Trainer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import lesions
import pytest
import transforming

from components.trainer import tuned
from components.trainer.config import HeadConfig, StageConfig, TrainerConfig
from components.trainer.run import run_fn
from components.tuner import component, search
from components.tuner.config import Choice, Range, TunerConfig

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

CONFIG = TrainerConfig(
    strategy="from_scratch",
    backbone="tiny_cnn",
    weights="none",
    batch_norm="train",
    image_size=32,
    batch_size=24,
    stages=(StageConfig(size=32, epochs=4),),
    head=HeadConfig(kind="binary"),
    robustness_images=0,
)
SPACE = {
    "optimiser.body_learning_rate": Range(low=1e-4, high=1e-2, log=True),
    "head.dropout": Choice(values=(0.0, 0.3)),
}


def test_settings_are_set_by_dotted_key_through_lists_too() -> None:
    found = tuned.apply(CONFIG, {"stages.0.rate": 0.5, "optimiser.weight_decay": 0.1, "batch_size": 8})
    assert (found.stages[0].rate, found.optimiser.weight_decay, found.batch_size) == (0.5, 0.1, 8)
    assert tuned.apply(CONFIG, {}) == CONFIG


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"optimiser.momentun": 0.9}, "at 'momentun' there are .*momentum"),
        ({"stages.1.rate": 0.9}, "at '1' there are 0"),
        ({"head.dropout.share": 0.9}, "no such key"),
        ({"head.dropout": 2.0}, "head.dropout=2.0: Input should be less than 1"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        tuned.apply(CONFIG, values)


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

    train = lesions.write_split(tmp_path / "train", 48, seed=1)
    evaluation = lesions.write_split(tmp_path / "eval", 32, seed=2)
    told = {
        "train_files": [train],
        "eval_files": [evaluation],
        "transform_output": transforming.analyse(train, tmp_path / "transform"),
    }
    settings = TunerConfig(trials=3, effort=0.25, space=SPACE, algorithm="random")
    given = {"trainer": CONFIG.model_dump(mode="json"), "tuner": settings.model_dump(mode="json")}
    tried: list[TrainerConfig] = []
    score = search.score

    def failing_first(config: TrainerConfig, *rest: object) -> float:
        tried.append(config)
        if len(tried) == 1:
            raise FloatingPointError("the loss is nan")
        return score(config, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(search, "score", failing_first)
    result = search.tuner_fn(
        SimpleNamespace(**told, custom_config=given, working_dir=str(tmp_path / "work"), hyperparameters=None)
    )
    result.tuner.search(**result.fit_kwargs)
    assert len(tried) == 3
    artifacts = {
        "best_hyperparameters": standard_artifacts.HyperParameters(),
        "tuner_results": standard_artifacts.TunerResults(),
    }
    for name, artifact in artifacts.items():
        artifact.uri = str(tmp_path / name)
        Path(artifact.uri).mkdir()
    executor.write_best_hyperparameters(result.tuner, {name: [one] for name, one in artifacts.items()})
    best, trials = (component.only(Path(one.uri)) for one in artifacts.values())
    assert len(trials) == 2  # the one that diverged has no score
    merged = component.merged({"label_counts": {"0": 36, "1": 12}}, best, trials)
    assert merged["label_counts"] == {"0": 36, "1": 12}
    assert merged["tuned"] == {key: max(trials, key=lambda row: row["score"])[key] for key in SPACE}
    exported: list[dict[str, dict[str, dict[str, float]]]] = []
    monkeypatch.setattr(
        "components.trainer.export.write", lambda *_, metadata, **more: exported.append(metadata)
    )
    run_fn(
        SimpleNamespace(
            **told,
            custom_config=given,
            hyperparameters=merged,
            serving_model_dir=str(tmp_path / "model"),
            model_run_dir=str(tmp_path / "run"),
        )
    )
    trained = exported[0]["config"]
    assert trained["optimiser"]["body_learning_rate"] == merged["tuned"]["optimiser.body_learning_rate"]
    assert json.loads((tmp_path / "run" / "trials.json").read_text())["trials"] == trials
