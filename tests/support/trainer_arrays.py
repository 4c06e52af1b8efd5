"""Small splits as arrays: training without TFRecords, Transform and export, a second or two a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components.trainer.config import TrainerConfig
from components.trainer.data.records import Columns, Split
from components.trainer.fit import training
from components.trainer.fit.backup import Backup
from components.trainer.fit.history import History
from components.trainer.fit.staged import NetworkLearner
from components.trainer.fit.task import TrainContext
from components.trainer.model.classifier import Classifier
from components.trainer.model.network import Moments
from components.trainer.settings import HeadConfig, StageConfig

SIDE = 32
CONFIG = TrainerConfig(
    strategy="from_scratch",
    backbone="tiny_cnn",
    weights="none",
    batch_norm="train",
    image_size=SIDE,
    stages=(StageConfig(size=SIDE, epochs=1),),
    batch_size=16,
    head=HeadConfig(kind="binary", dropout=0.2),
    robustness_images=0,
)


def split(name: str, count: int, seed: int) -> Split:
    """Noise, darker in the middle of every fourth picture, which is positive."""
    draw = np.random.default_rng(seed)
    pictures = draw.integers(100, 200, (count, SIDE, SIDE, 3), np.uint8)
    targets = (np.arange(count) % 4 == 0).astype(np.int64)
    pictures[targets == 1, 8:24, 8:24] //= 2
    names = tuple(f"{name}-{number}" for number in range(count))
    return Split(name, pictures, names, targets, ("",) * count, f"{name}{seed}" * 8)


def columns(count: int) -> Columns:
    """Two pictures of every lesion; of every third nothing else is known."""
    numbers = range(count)
    return Columns(
        np.array([np.nan if n % 3 == 0 else 20.0 + n for n in numbers], np.float32),
        tuple("" if n % 3 == 0 else "female" for n in numbers),
        tuple("" if n % 3 == 0 else "trunk" for n in numbers),
        tuple(f"lesion {n // 8 * 4 + n % 4}" for n in numbers),
    )


def data() -> training.Data:
    return training.Data(
        split("train", 64, 1),
        split("eval", 32, 2),
        Moments((130.0,) * 3, (50.0,) * 3),
        {},
        columns(64),
        columns(32),
    )


@dataclass(frozen=True)
class Trained:
    classifier: Classifier
    answers: training.Answers
    folder: Path

    @property
    def class_probabilities(self) -> Any:
        return self.answers.evaluation.class_probabilities

    def file(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())


def train(config: TrainerConfig, folder: Path, cache: Path | None = None) -> Trained:
    keras.utils.set_random_seed(config.seed)
    cache = cache or folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    context = TrainContext(cache, History(folder), Backup(cache / "backup.npz"))
    classifier, answers = training.train(config, data(), context)
    return Trained(classifier, answers, folder)


def untraced_step(learner: NetworkLearner) -> Callable[..., float]:
    """Stands in for `staged._compiled_step` where what is around the steps matters: each moves all weights a little."""

    def step(_batch: Any, factor: Any) -> float:
        for variable in learner.optimiser.trained:
            variable.assign(variable + 1e-3)
        return 1.0 / (1.0 + float(factor))

    return step
