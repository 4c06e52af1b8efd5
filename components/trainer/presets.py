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
    batch_size=16,
    stages=(StageConfig(size=64, epochs=6),),
    head=HeadConfig(kind="binary", dropout=0.0),
    loss=LossConfig(label_smoothing=0.0),
    optimiser=OptimiserConfig(body_learning_rate=3e-3, head_learning_rate=3e-3),
    augmentation=AugmentationConfig(
        zoom=(0.9, 1.0), shift=0.0, brightness=0.05, contrast=0.05, saturation=0.0
    ),
    calibration="temperature",
)

# EfficientNet-Lite0 untouched, a linear head on features of its last three levels. On HAM10000 (4,186 training
# images): AUC 0.871 on eval, 0.869 on 900 held-out images, 0.907 sensitivity and 0.66 specificity there.
QUICK: Final = TrainerConfig(
    strategy="frozen",
    frozen=FrozenConfig(),
    loss=LossConfig(label_smoothing=0.0),
    patience=8,
)

# All layers of EfficientNet-Lite0 through three picture sizes; the three snapshots vote. Shortened to fit
# 52 minutes where the machine is slow or shared. Colour changes imitate other cameras. Not measured in full; cut
# to 4 + 3 + 2 epochs it gave AUC 0.908 on 900 held-out images of HAM10000 and 0.767 on ISIC 2017's.
FULL: Final = TrainerConfig(
    strategy="fine_tune",
    stages=(
        StageConfig(size=128, epochs=10, test_size=160),
        StageConfig(size=160, epochs=8, test_size=192),
        StageConfig(size=192, epochs=6, test_size=224),
    ),
    augmentation=AugmentationConfig(
        aspect=0.08, brightness=0.2, contrast=0.25, saturation=0.25, colour=0.1, gamma=0.15
    ),
    tta=2,
    max_minutes=52,
    sensitivity=0.95,
    litert=("int8", "float16"),
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
