"""Small data with its Transform graph, and a model trained on it: made once for all tests of the room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.trainer.config import TrainerConfig
from components.trainer.run import run_fn
from components.trainer.settings import FrozenConfig, StageConfig
from pipeline.config import load
from tests.support import lesions, transforming


def preset(name: str) -> TrainerConfig:
    return load(name).trainer


THIRD_PARTY = [
    "ignore::DeprecationWarning",
    "ignore::PendingDeprecationWarning",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(str(item.fspath)).parents:
            for warning in THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(warning))


@dataclass(frozen=True)
class Data:
    train: str
    evaluation: str
    transform: str


@dataclass(frozen=True)
class Trained:
    data: Data
    model: Path
    run: Path
    config: TrainerConfig


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("data")
    train = lesions.write_split(folder / "train", 96, seed=1)
    evaluation = lesions.write_split(folder / "eval", 64, seed=2)
    return Data(train, evaluation, transforming.analyse(train, folder / "transform"))


def train(data: Data, config: TrainerConfig, folder: Path, **hyperparameters: Any) -> Trained:
    run_fn(
        SimpleNamespace(
            custom_config={"trainer": config.model_dump(mode="json"), "model_name": "melanoma"},
            train_files=[data.train],
            eval_files=[data.evaluation],
            transform_output=data.transform,
            hyperparameters=hyperparameters or None,
            serving_model_dir=str(folder / "model"),
            model_run_dir=str(folder / "run"),
        )
    )
    return Trained(data, folder / "model", folder / "run", config)


TINY = preset("smoke").model_copy(
    update={
        "stages": (StageConfig(size=64, epochs=4),),
        "tta": 2,
        "batch_size": 8,
        "optimiser": preset("smoke").optimiser.model_copy(update={"ema": 0.8}),
    }
)


@pytest.fixture
def unexported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the training matters, tracing the signatures would take most of the time."""
    monkeypatch.setattr("components.trainer.export.saved_model.write", lambda *args, **kwargs: None)


@pytest.fixture(scope="session")
def scratch(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network trained from random weights."""
    return train(data, TINY, tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="session")
def frozen(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A diagnosis head on a frozen tiny network."""
    config = preset("quick").model_copy(
        update={
            "backbone": "tiny_cnn",
            "weights": "none",
            "image_size": 64,
            "frozen": FrozenConfig(size=48, flips=4, blocks=2, epochs=3, l2=(1e-3, 1e-2)),
        }
    )
    return train(data, config, tmp_path_factory.mktemp("frozen"))
