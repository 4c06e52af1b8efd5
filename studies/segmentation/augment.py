"""Random changes: one resampling of picture and mask together, then colour and artefacts on the picture alone."""

from __future__ import annotations

import tensorflow as tf

from components.trainer.data import augmentation
from components.trainer.data.draws import RandomDraws
from components.trainer.settings import AugmentationConfig
from studies.segmentation.config import PairsAugmentationConfig


def augment(
    pictures: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, config: PairsAugmentationConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """Changed pairs.

    Args:
        pictures: uint8 [batch, h, w, 3].
        masks: uint8 [batch, h, w], 0 or 255.
        seed: int64 [2]; calls lie 1,000 apart in the second number.
        config: the ranges.

    Returns:
        float32 [batch, h, w, 3] in 0..255, and float32 [batch, h, w], 0.0 or 1.0.
    """
    draws, changes = RandomDraws(seed, tf.shape(pictures)[0]), _changes(config)
    both = tf.concat([tf.cast(pictures, tf.float32), tf.cast(masks, tf.float32)[..., None]], axis=3)
    height, width = both.shape[1], both.shape[2]
    both = augmentation.resample(both, draws, (height, width), changes)
    return augmentation.spoil(both[..., :3], draws, changes), tf.cast(both[..., 3] >= 127.5, tf.float32)


def _changes(config: PairsAugmentationConfig) -> AugmentationConfig:
    """Return the settings as the Trainer's; the study's ranges are wider than those it would take."""
    return AugmentationConfig.model_construct(
        zoom=config.zoom,
        aspect=config.aspect,
        shear=config.shear,
        shift=config.shift,
        brightness=0.0,
        contrast=config.contrast,
        saturation=config.saturation,
        colour=config.gain,
        gamma=config.gamma,
        illumination=config.light,
        corners=config.tube,
        blur=config.blur,
        noise=config.noise,
        hair=config.hair,
    )
