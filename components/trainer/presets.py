"""Named Trainer configurations: what each gives, how long it takes, on 2 cores without a GPU."""

from __future__ import annotations

from typing import Final

from components.trainer.config import (
    AugmentationConfig,
    FrozenConfig,
    HeadConfig,
    LossConfig,
    OptimiserConfig,
    StageConfig,
    TrainerConfig,
)

# A small separable network from random weights: proves a pipeline, not a diagnosis. Well under a minute
# on 200 images.
SMOKE: Final = TrainerConfig(
    strategy="from_scratch",
    backbone="tiny_cnn",
    weights="none",
    batch_norm="train",
    image_size=64,
    stages=(StageConfig(size=64, epochs=6),),
    head=HeadConfig(kind="binary", dropout=0.0),
    loss=LossConfig(label_smoothing=0.0),
    optimiser=OptimiserConfig(body_learning_rate=3e-3, head_learning_rate=3e-3),
    augmentation=AugmentationConfig(
        zoom=(0.9, 1.0), shift=0.0, brightness=0.05, contrast=0.05, saturation=0.0
    ),
    calibration="temperature",
)

# EfficientNet-Lite0 untouched, a linear head on features of its last three levels.
QUICK: Final = TrainerConfig(
    strategy="frozen",
    frozen=FrozenConfig(),
    loss=LossConfig(label_smoothing=0.0),
    patience=8,
)

FULL: Final = TrainerConfig(
    strategy="fine_tune",
    stages=(
        StageConfig(size=128, epochs=8, test_size=160),
        StageConfig(size=160, epochs=6, test_size=192),
        StageConfig(size=192, epochs=4, test_size=224),
    ),
    tta=4,
    max_minutes=55,
)

PRESETS: Final = {"smoke": SMOKE, "quick": QUICK, "full": FULL}


def preset(name: str) -> TrainerConfig:
    """The configuration of that name.

    Raises:
        ValueError: no such preset; the message names those there are.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(f"preset {name!r} is unknown; there are {', '.join(PRESETS)}") from None
