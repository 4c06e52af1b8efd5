"""Small data with its Transform graph, and a model trained on it: made once for all tests of the room."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.trainer.settings import FrozenConfig
from tests.support import lesions, transforming
from tests.support.tiny_trainer import TINY, Data, Trained, preset, train

THIRD_PARTY = [
    "ignore::DeprecationWarning",
    "ignore::PendingDeprecationWarning",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(str(item.fspath)).parents:
            for warning in THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("data")
    train = lesions.write_split(folder / "train", 96, seed=1)
    evaluation = lesions.write_split(folder / "eval", 64, seed=2)
    return Data(train, evaluation, transforming.analyse(train, folder / "transform"))


@pytest.fixture
def unexported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the training matters, tracing the signatures would take most of the time, and changed pictures a second."""
    monkeypatch.setattr("components.trainer.export.saved_model.write", lambda *args, **kwargs: None)
    monkeypatch.setattr("components.trainer.run._robustness", lambda *args: None)


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
            "robustness_images": 0,
            "frozen": FrozenConfig(size=48, flips=4, blocks=2, epochs=3, l2=(1e-3, 1e-2)),
        }
    )
    return train(data, config, tmp_path_factory.mktemp("frozen"))
