"""Random changes to training pictures, in the graph: one projective resampling, then colour."""

from __future__ import annotations

import math

import tensorflow as tf

from components.trainer.data.dice import Dice
from components.trainer.settings import AugmentationConfig

_ARCS = 8  # most hairs a picture; each of them is there or not


def augment(pictures: tf.Tensor, seed: tf.Tensor, size: int, config: AugmentationConfig) -> tf.Tensor:
    """Changed pictures.

    Args:
        pictures: uint8 [batch, s, s, 3]; s may be larger than `size`, which keeps detail when zooming in.
        seed: int64 [2]; draws use the second number and those after it, so keep calls 1,000 apart.
        size: side of the result.
        config: the ranges.

    Returns:
        float32 [batch, size, size, 3] in 0..255.
    """
    dice = Dice(seed, tf.shape(pictures)[0])
    pixels = _resample(tf.cast(pictures, tf.float32), dice, size, config)
    pixels = _colour(pixels, dice, config)
    if config.blur:
        kernel = tf.constant([1.0, 2.0, 1.0])
        kernel = tf.tile((kernel[:, None] * kernel[None, :] / 16.0)[:, :, None, None], [1, 1, 3, 1])
        soft = tf.nn.depthwise_conv2d(pixels, kernel, [1, 1, 1, 1], "SAME")
        where = dice.chance(config.blur)
        pixels = where * soft + (1.0 - where) * pixels
    if config.jpeg != (100, 100):
        pixels = _compressed(pixels, dice, config.jpeg)
    if config.noise:
        pixels += _column(dice.uniform(0.0, config.noise)) * dice.normal(tf.shape(pixels))
    if config.hair:
        pixels = _hairs(pixels, dice, size, config.hair)
    if config.cutout:
        pixels = _cutout(pixels, dice, size, config.cutout)
    return tf.clip_by_value(pixels, 0.0, 255.0)


def _resample(pixels: tf.Tensor, dice: Dice, size: int, config: AugmentationConfig) -> tf.Tensor:
    source = pixels.shape[1]
    batch = tf.shape(pixels)[0]
    turn = math.radians(config.rotation)
    angle = dice.uniform(-turn, turn)
    if config.quarter_turns:
        angle += tf.floor(dice.uniform(0.0, 4.0)) * (math.pi / 2)
    scale = dice.uniform(config.zoom[0], config.zoom[1]) * (source / size)
    stretch = tf.exp(dice.uniform(-config.aspect, config.aspect))
    shear = dice.uniform(-config.shear, config.shear)
    mirror_x = tf.sign(dice.uniform(-1.0, 1.0)) if config.flip else tf.ones([batch])
    mirror_y = tf.sign(dice.uniform(-1.0, 1.0)) if config.flip else tf.ones([batch])
    shift_x = dice.uniform(-config.shift, config.shift) * source
    shift_y = dice.uniform(-config.shift, config.shift) * source
    cos, sin = tf.cos(angle), tf.sin(angle)
    wide, high = scale * stretch * mirror_x, scale / stretch * mirror_y
    # Output pixel (x, y) about its centre -> source pixel: scale, shear, then rotate, then shift.
    a0, a1 = wide * cos, high * (shear * cos - sin)
    b0, b1 = wide * sin, high * (shear * sin + cos)
    centre_out, centre_in = (size - 1) / 2, (source - 1) / 2
    a2 = centre_in + shift_x - (a0 + a1) * centre_out
    b2 = centre_in + shift_y - (b0 + b1) * centre_out
    zeros = tf.zeros([batch])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=tf.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1),
        output_shape=tf.constant([size, size]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


def _colour(pixels: tf.Tensor, dice: Dice, config: AugmentationConfig) -> tf.Tensor:
    if config.colour:
        pixels *= tf.exp(dice.uniform(-config.colour, config.colour, 1, 1, 3))
    if config.gamma:
        tone = tf.exp(dice.uniform(-config.gamma, config.gamma))
        pixels = 255.0 * tf.pow(tf.clip_by_value(pixels / 255.0, 1e-4, 1.0), _column(tone))
    if config.brightness or config.contrast:
        mean = tf.reduce_mean(pixels, axis=[1, 2, 3], keepdims=True)
        brightness = _column(1.0 + dice.uniform(-config.brightness, config.brightness))
        contrast = _column(1.0 + dice.uniform(-config.contrast, config.contrast))
        pixels = (pixels - mean) * contrast + mean * brightness
    if config.saturation:
        grey = tf.reduce_mean(pixels, axis=3, keepdims=True)
        saturation = _column(1.0 + dice.uniform(-config.saturation, config.saturation))
        pixels = (pixels - grey) * saturation + grey
    return pixels


def _compressed(pixels: tf.Tensor, dice: Dice, qualities: tuple[int, int]) -> tf.Tensor:
    """Each picture through a JPEG encoder at a quality of its own, as other cameras and archives do."""
    chosen = tf.cast(dice.uniform(qualities[0], qualities[1] + 1), tf.int32)
    rounded = tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)
    again = tf.map_fn(
        lambda one: tf.image.adjust_jpeg_quality(one[0], one[1]),
        (rounded, chosen),
        fn_output_signature=tf.TensorSpec(pixels.shape[1:], tf.uint8),
    )
    return tf.cast(again, tf.float32)


def _hairs(pixels: tf.Tensor, dice: Dice, size: int, share: float) -> tf.Tensor:
    """Dark arcs, none to eight a picture: pixels nearer than half a hair's width to a circle of random centre."""
    arcs = [
        (
            dice.uniform(0.5, 3.0) * size,  # radius
            dice.uniform(0.0, 2 * math.pi),  # where the centre lies from a point of the picture
            dice.uniform(0.0, 1.0) * size,
            dice.uniform(0.0, 1.0) * size,
            dice.uniform(0.003, 0.008) * size,  # width
            dice.chance(0.5),
        )
        for _ in range(_ARCS)
    ]
    colour = dice.uniform(10.0, 70.0, 1, 1, 1)
    # Numbers are drawn for every picture, planes only for those that get hair.
    rows = tf.where(tf.reshape(dice.chance(share), [-1]) > 0.0)
    ys, xs = tf.range(size, dtype=tf.float32)[None, :, None], tf.range(size, dtype=tf.float32)[None, None, :]
    hairy = tf.gather_nd(pixels, rows)
    dark = tf.zeros_like(hairy[..., :1])
    for arc in arcs:
        radius, direction, x, y, width, there = (_plane(tf.gather_nd(values, rows)) for values in arc)
        distance = tf.sqrt(
            tf.square(xs - x - radius * tf.cos(direction)) + tf.square(ys - y - radius * tf.sin(direction))
        )
        cover = tf.clip_by_value(width + 0.5 - tf.abs(distance - radius), 0.0, 1.0) * there
        dark = tf.maximum(dark, cover[..., None])
    hairy = hairy * (1.0 - dark) + tf.gather_nd(colour, rows) * dark
    return tf.tensor_scatter_nd_update(pixels, rows, hairy)


def _cutout(pixels: tf.Tensor, dice: Dice, size: int, share: float) -> tf.Tensor:
    side = share * size
    ys, xs = tf.meshgrid(tf.range(size, dtype=tf.float32), tf.range(size, dtype=tf.float32), indexing="ij")
    inside = tf.logical_and(
        tf.abs(xs[None] - _plane(dice.uniform(0.0, 1.0)) * size) < side / 2,
        tf.abs(ys[None] - _plane(dice.uniform(0.0, 1.0)) * size) < side / 2,
    )
    hole = tf.cast(inside, tf.float32)[..., None]
    return pixels * (1.0 - hole) + 127.0 * hole


def _column(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [-1, 1, 1, 1])


def _plane(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [-1, 1, 1])
