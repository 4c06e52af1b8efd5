"""A tiny trained model through the Trainer's own `run_fn`: records, their Transform graph, and what a training leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.trainer.config import TrainerConfig
from components.trainer.run import run_fn
from components.trainer.settings import StageConfig
from pipeline.config import load


def preset(name: str) -> TrainerConfig:
    return load(name).trainer


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
        "neutral_light": True,
        "batch_size": 8,
        "robustness_images": 24,
        "optimiser": preset("smoke").optimiser.model_copy(update={"ema": 0.8}),
    }
)
