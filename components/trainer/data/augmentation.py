"""Random changes to training pictures, in the graph: one projective resampling, then colour, then the camera."""

from __future__ import annotations

import math

import tensorflow as tf

from components.trainer.data import camera
from components.trainer.data.draws import RandomDraws, column, plane
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
    draws = RandomDraws(seed, tf.shape(pictures)[0])
    pixels = _resample(tf.cast(pictures, tf.float32), draws, size, config)
    pixels = _colour(pixels, draws, config)
    if config.tint or config.chroma or config.lightness:
        pixels = camera.perceived(pixels, draws, config)
    if config.illumination or config.vignette:
        pixels *= camera.light(draws, size, config)
    if config.blur:
        where = draws.chance(config.blur)
        pixels = where * camera.softened(pixels) + (1.0 - where) * pixels
    if config.sharpness:
        gain = column(draws.uniform(-min(config.sharpness, 1.0), config.sharpness))
        pixels += gain * (pixels - camera.softened(pixels))
    if config.ruler:
        pixels = camera.ruled(pixels, draws, size, config.ruler)
    if config.corners:
        pixels = camera.rounded(pixels, draws, size, config.corners)
    if config.jpeg != (100, 100):
        pixels = _compressed(pixels, draws, config.jpeg)
    if config.noise:
        pixels += column(draws.uniform(0.0, config.noise)) * draws.normal(tf.shape(pixels))
    if config.hair:
        pixels = _hairs(pixels, draws, size, config.hair)
    if config.cutout:
        pixels = _cutout(pixels, draws, size, config.cutout)
    return tf.clip_by_value(pixels, 0.0, 255.0)


def _resample(pixels: tf.Tensor, draws: RandomDraws, size: int, config: AugmentationConfig) -> tf.Tensor:
    source = pixels.shape[1]
    batch = tf.shape(pixels)[0]
    turn = math.radians(config.rotation)
    angle = draws.uniform(-turn, turn)
    if config.quarter_turns:
        angle += tf.floor(draws.uniform(0.0, 4.0)) * (math.pi / 2)
    scale = draws.uniform(config.zoom[0], config.zoom[1]) * (source / size)
    stretch = tf.exp(draws.uniform(-config.aspect, config.aspect))
    shear = draws.uniform(-config.shear, config.shear)
    mirror_x = tf.sign(draws.uniform(-1.0, 1.0)) if config.flip else tf.ones([batch])
    mirror_y = tf.sign(draws.uniform(-1.0, 1.0)) if config.flip else tf.ones([batch])
    shift_x = draws.uniform(-config.shift, config.shift) * source
    shift_y = draws.uniform(-config.shift, config.shift) * source
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


def _colour(pixels: tf.Tensor, draws: RandomDraws, config: AugmentationConfig) -> tf.Tensor:
    if config.colour:
        pixels *= tf.exp(draws.uniform(-config.colour, config.colour, 1, 1, 3))
    if config.gamma:
        tone = tf.exp(draws.uniform(-config.gamma, config.gamma))
        pixels = 255.0 * tf.pow(tf.clip_by_value(pixels / 255.0, 1e-4, 1.0), column(tone))
    if config.brightness or config.contrast:
        mean = tf.reduce_mean(pixels, axis=[1, 2, 3], keepdims=True)
        brightness = column(1.0 + draws.uniform(-config.brightness, config.brightness))
        contrast = column(1.0 + draws.uniform(-config.contrast, config.contrast))
        pixels = (pixels - mean) * contrast + mean * brightness
    if config.saturation:
        grey = tf.reduce_mean(pixels, axis=3, keepdims=True)
        saturation = column(1.0 + draws.uniform(-config.saturation, config.saturation))
        pixels = (pixels - grey) * saturation + grey
    return pixels


def _compressed(pixels: tf.Tensor, draws: RandomDraws, qualities: tuple[int, int]) -> tf.Tensor:
    """Each picture through a JPEG encoder at a quality of its own, as other cameras and archives do."""
    chosen = tf.cast(draws.uniform(qualities[0], qualities[1] + 1), tf.int32)
    rounded = tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)
    again = tf.map_fn(
        lambda one: tf.image.adjust_jpeg_quality(one[0], one[1]),
        (rounded, chosen),
        fn_output_signature=tf.TensorSpec(pixels.shape[1:], tf.uint8),
    )
    return tf.cast(again, tf.float32)


def _hairs(pixels: tf.Tensor, draws: RandomDraws, size: int, share: float) -> tf.Tensor:
    """Dark arcs, none to eight a picture: pixels nearer than half a hair's width to a circle of random centre."""
    arcs = [
        (
            draws.uniform(0.5, 3.0) * size,  # radius
            draws.uniform(0.0, 2 * math.pi),  # where the centre lies from a point of the picture
            draws.uniform(0.0, 1.0) * size,
            draws.uniform(0.0, 1.0) * size,
            draws.uniform(0.003, 0.008) * size,  # width
            draws.chance(0.5),
        )
        for _ in range(_ARCS)
    ]
    colour = draws.uniform(10.0, 70.0, 1, 1, 1)
    # Numbers are drawn for every picture, planes only for those that get hair.
    rows = tf.where(tf.reshape(draws.chance(share), [-1]) > 0.0)
    ys, xs = tf.range(size, dtype=tf.float32)[None, :, None], tf.range(size, dtype=tf.float32)[None, None, :]
    hairy = tf.gather_nd(pixels, rows)
    dark = tf.zeros_like(hairy[..., :1])
    for arc in arcs:
        radius, direction, x, y, width, there = (plane(tf.gather_nd(values, rows)) for values in arc)
        distance = tf.sqrt(
            tf.square(xs - x - radius * tf.cos(direction)) + tf.square(ys - y - radius * tf.sin(direction))
        )
        cover = tf.clip_by_value(width + 0.5 - tf.abs(distance - radius), 0.0, 1.0) * there
        dark = tf.maximum(dark, cover[..., None])
    hairy = hairy * (1.0 - dark) + tf.gather_nd(colour, rows) * dark
    return tf.tensor_scatter_nd_update(pixels, rows, hairy)


def _cutout(pixels: tf.Tensor, draws: RandomDraws, size: int, share: float) -> tf.Tensor:
    side = share * size
    ys, xs = tf.meshgrid(tf.range(size, dtype=tf.float32), tf.range(size, dtype=tf.float32), indexing="ij")
    inside = tf.logical_and(
        tf.abs(xs[None] - plane(draws.uniform(0.0, 1.0)) * size) < side / 2,
        tf.abs(ys[None] - plane(draws.uniform(0.0, 1.0)) * size) < side / 2,
    )
    hole = tf.cast(inside, tf.float32)[..., None]
    return pixels * (1.0 - hole) + 127.0 * hole
