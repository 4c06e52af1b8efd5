"""Random changes: one resampling of picture and mask together, then colour and artefacts on the picture alone."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from components.trainer.data.draws import RandomDraws
from studies.segmentation.config import PairsAugmentationConfig


def augment(
    pictures: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, config: PairsAugmentationConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """Changed pairs.

    Args:
        pictures: uint8 [batch, h, w, 3].
        masks: uint8 [batch, h, w], 0 or 255.
        seed: int64 [2]; calls lie 100 apart in the second number.
        config: the ranges.

    Returns:
        float32 [batch, h, w, 3] in 0..255, and float32 [batch, h, w], 0.0 or 1.0.
    """
    draws = RandomDraws(seed, tf.shape(pictures)[0])
    both = tf.concat([tf.cast(pictures, tf.float32), tf.cast(masks, tf.float32)[..., None]], axis=3)
    both = _placed(both, draws, config)
    pixels, lesion = both[..., :3], tf.cast(both[..., 3] >= 127.5, tf.float32)
    pixels = _coloured(pixels, draws, config)
    pixels = _spoiled(pixels, draws, config)
    return tf.clip_by_value(pixels, 0.0, 255.0), lesion


def _placed(both: tf.Tensor, draws: RandomDraws, config: PairsAugmentationConfig) -> tf.Tensor:
    height, width = both.shape[1], both.shape[2]
    angle = draws.uniform(-math.pi, math.pi)
    # Even on a logarithmic scale: half the size is as likely as double.
    scale = tf.exp(draws.uniform(math.log(config.zoom[0]), math.log(config.zoom[1])))
    stretch = tf.exp(draws.uniform(-config.aspect, config.aspect))
    shear = draws.uniform(-config.shear, config.shear)
    wide = scale * stretch * tf.sign(draws.uniform(-1.0, 1.0))
    high = scale / stretch
    cos, sin = tf.cos(angle), tf.sin(angle)
    a0, a1 = wide * cos, high * (shear * cos - sin)
    b0, b1 = wide * sin, high * (shear * sin + cos)
    x, y = (width - 1) / 2, (height - 1) / 2
    a2 = x + draws.uniform(-config.shift, config.shift) * width - a0 * x - a1 * y
    b2 = y + draws.uniform(-config.shift, config.shift) * height - b0 * x - b1 * y
    zeros = tf.zeros_like(a0)
    return tf.ensure_shape(
        tf.raw_ops.ImageProjectiveTransformV3(
            images=both,
            transforms=tf.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1),
            output_shape=tf.constant([height, width]),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="REFLECT",
        ),
        both.shape,
    )


def _coloured(pixels: tf.Tensor, draws: RandomDraws, config: PairsAugmentationConfig) -> tf.Tensor:
    pixels *= tf.exp(draws.uniform(-config.gain, config.gain, 1, 1, 3))
    tone = tf.exp(draws.uniform(-config.gamma, config.gamma, 1, 1, 1))
    pixels = 255.0 * tf.pow(tf.clip_by_value(pixels / 255.0, 1e-4, 1.0), tone)
    mean = tf.reduce_mean(pixels, axis=[1, 2, 3], keepdims=True)
    pixels = (pixels - mean) * (1.0 + draws.uniform(-config.contrast, config.contrast, 1, 1, 1)) + mean
    grey = tf.reduce_mean(pixels, axis=3, keepdims=True)
    pixels = (pixels - grey) * (1.0 + draws.uniform(-config.saturation, config.saturation, 1, 1, 1)) + grey
    xs, ys = _coordinates(pixels)
    slope_x, slope_y = (draws.uniform(-config.light, config.light, 1, 1) for _ in range(2))
    return pixels * (1.0 + slope_x * xs + slope_y * ys)[..., None]


def _spoiled(pixels: tf.Tensor, draws: RandomDraws, config: PairsAugmentationConfig) -> tf.Tensor:
    kernel = tf.constant([1.0, 4.0, 6.0, 4.0, 1.0])
    kernel = tf.tile((kernel[:, None] * kernel[None, :] / 256.0)[:, :, None, None], [1, 1, 3, 1])
    soft = tf.nn.depthwise_conv2d(pixels, kernel, [1, 1, 1, 1], "SAME")
    pixels += draws.chance(config.blur) * (soft - pixels)
    xs, ys = _coordinates(pixels)
    for _ in range(3):
        cover = _arc(xs, ys, draws)[..., None] * draws.chance(config.hair)
        pixels = pixels * (1.0 - cover) + draws.uniform(10.0, 70.0, 1, 1, 1) * cover
    edge = draws.uniform(0.95, 1.3, 1, 1)
    outside = tf.clip_by_value((tf.sqrt(xs**2 + ys**2) - edge) * 20.0, 0.0, 1.0)[..., None]
    pixels *= 1.0 - outside * draws.chance(config.tube)
    return pixels + draws.uniform(0.0, max(config.noise, 1e-3), 1, 1, 1) * draws.normal(tf.shape(pixels))


def _arc(xs: tf.Tensor, ys: tf.Tensor, draws: RandomDraws) -> tf.Tensor:
    """A thin part of a large circle: a hair. [batch, h, w], 1 on it."""
    radius, turn = draws.uniform(1.0, 6.0, 1, 1), draws.uniform(0.0, 2 * math.pi, 1, 1)
    at_x, at_y = draws.uniform(-1.0, 1.0, 1, 1), draws.uniform(-1.0, 1.0, 1, 1)
    away = tf.sqrt((xs - at_x - radius * tf.cos(turn)) ** 2 + (ys - at_y - radius * tf.sin(turn)) ** 2)
    width = draws.uniform(0.004, 0.012, 1, 1)
    return tf.clip_by_value(1.5 - tf.abs(away - radius) / width, 0.0, 1.0)


def _coordinates(pixels: tf.Tensor) -> tuple[Any, Any]:
    """-1..1 from left to right and from top to bottom: [1, h, w] each."""
    height, width = pixels.shape[1], pixels.shape[2]
    xs, ys = tf.meshgrid(tf.linspace(-1.0, 1.0, width), tf.linspace(-1.0, 1.0, height))
    return xs[None], ys[None]
