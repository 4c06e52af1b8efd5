"""The retrain flow on a tiny network: bottlenecks, head, final test, mistakes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from components.trainer.data.records import Split
from components.trainer.progress import Progress
from studies.retrain import flow as retrain
from studies.retrain.flow import RetrainConfig

PLAIN = RetrainConfig(
    backbone="tiny_cnn", weights="none", size=75, learning_rate=0.3, steps=60, batch_size=16, eval_every=30
)


def split(name: str, count: int, seed: int) -> Split:
    draw = np.random.default_rng(seed)
    targets = (np.arange(count) % 3 == 0).astype(np.int64)
    pictures = draw.integers(140, 220, (count, 75, 75, 3)).astype(np.uint8)
    pictures[targets == 1, 20:50, 20:50] //= 4
    return Split(
        name, pictures, tuple(f"{name}{i}" for i in range(count)), targets, ("",) * count, f"{name}{seed}"
    )


SPLITS = {name: split(name, 36, seed) for seed, name in enumerate(("train", "eval", "test"))}


def test_the_head_learns_and_the_test_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = retrain.retrain(PLAIN, SPLITS, tmp_path, Progress(io.StringIO()), samples=20)
    assert [step for step, _ in found.history] == [30, 60]
    assert found.test.auc.value > 0.8
    assert found.weights == "none"
    assert len(found.misclassified) == round((1 - found.accuracy) * 36)
    retrain.write_misclassified(found, tmp_path / "wrong.csv")
    with (tmp_path / "wrong.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(found.misclassified)
    assert len(list(tmp_path.glob("bottlenecks-*.npz"))) == 3
    again = retrain.retrain(PLAIN, SPLITS, tmp_path, Progress(io.StringIO()), samples=20)
    assert again.test == found.test


def test_distortions_turn_the_cache_of_training_images_off(tmp_path: Path) -> None:
    config = PLAIN.model_copy(
        update={
            "flip_left_right": True,
            "random_crop": 10,
            "random_scale": 10,
            "random_brightness": 10,
            "steps": 3,
        }
    )
    assert config.distorts
    retrain.retrain(config, SPLITS, tmp_path, Progress(io.StringIO()), samples=20)
    assert sorted(path.name.split("-")[1] for path in tmp_path.glob("*.npz")) == ["eval", "test"]


def test_distorted_pictures_keep_their_size_and_range() -> None:
    config = PLAIN.model_copy(update={"flip_left_right": True, "random_scale": 30, "random_brightness": 50})
    found = retrain._distorted(SPLITS["train"].pictures[:6], config, np.random.default_rng(0)).numpy()
    assert found.shape == (6, 75, 75, 3)
    assert found.min() >= 0
    assert found.max() <= 255
    assert np.abs(found - SPLITS["train"].pictures[:6]).mean() > 3
