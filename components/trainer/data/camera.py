"""What another camera makes of the same lesion: its colours in a perceptual space, its light, lens and ruler."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from components.trainer.data.draws import RandomDraws, column, plane
from components.trainer.settings import AugmentationConfig

# Linear sRGB to cone responses, and their cube roots to lightness and two colour axes (Ottosson, "A perceptual color
# space for image processing", 2020).
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_MARKS = 14.0  # of a ruler along a picture's side


def oklab(pixels: tf.Tensor) -> tf.Tensor:
    """Convert sRGB (float32 [..., 3], 0..255) to OKLab: lightness 0..1, and two colour axes of about +-0.3."""
    values = tf.clip_by_value(pixels / 255.0, 0.0, 1.0)
    linear = tf.where(values <= 0.04045, values / 12.92, tf.pow((values + 0.055) / 1.055, 2.4))
    cones = tf.maximum(tf.tensordot(linear, tf.constant(_CONES.T, tf.float32), 1), 1e-9)
    return tf.tensordot(tf.pow(cones, 1.0 / 3.0), tf.constant(_LAB.T, tf.float32), 1)


def srgb(lab: tf.Tensor) -> tf.Tensor:
    """Convert OKLab back to sRGB in 0..255; colours that no screen shows are clipped."""
    cones = tf.tensordot(lab, tf.constant(np.linalg.inv(_LAB).T, tf.float32), 1)
    linear = tf.tensordot(cones * cones * cones, tf.constant(np.linalg.inv(_CONES).T, tf.float32), 1)
    linear = tf.clip_by_value(linear, 0.0, 1.0)
    bright = 1.055 * tf.pow(tf.maximum(linear, 1e-9), 1.0 / 2.4) - 0.055
    return 255.0 * tf.where(linear <= 0.0031308, linear * 12.92, bright)


def perceived(pixels: tf.Tensor, draws: RandomDraws, config: AugmentationConfig) -> tf.Tensor:
    """Shift tint, chroma and tone by amounts that look alike on every colour, as channel gains do not."""
    lab = oklab(pixels)
    tone = tf.exp(column(draws.uniform(-config.lightness, config.lightness)))
    vivid = tf.exp(column(draws.uniform(-config.chroma, config.chroma)))
    tint = draws.uniform(-config.tint, config.tint, 1, 1, 2)
    lightness = tf.pow(tf.clip_by_value(lab[..., :1], 1e-4, 1.0), tone)
    return srgb(tf.concat([lightness, lab[..., 1:] * vivid + tint], axis=-1))


def light(draws: RandomDraws, size: int, config: AugmentationConfig) -> tf.Tensor:
    """Return the light's share on each pixel, [batch, size, size, 1]: uneven from side to side, dark in the corners."""
    ys, xs = _axes(size)
    direction = plane(draws.uniform(0.0, 2 * math.pi))
    fall = plane(draws.uniform(0.0, config.illumination))
    along = (xs * tf.cos(direction) + ys * tf.sin(direction)) / math.sqrt(2.0)  # -1..1 from corner to corner
    dark = plane(draws.uniform(0.0, config.vignette))
    return ((1.0 - fall * (along + 1.0) / 2.0) * (1.0 - dark * (xs * xs + ys * ys) / 2.0))[..., None]


def softened(pixels: tf.Tensor) -> tf.Tensor:
    """Blur slightly: a binomial kernel of 3 x 3 pixels."""
    kernel = tf.constant([1.0, 2.0, 1.0])
    kernel = tf.tile((kernel[:, None] * kernel[None, :] / 16.0)[:, :, None, None], [1, 1, 3, 1])
    return tf.nn.depthwise_conv2d(pixels, kernel, [1, 1, 1, 1], "SAME")


def rounded(pixels: tf.Tensor, draws: RandomDraws, size: int, share: float) -> tf.Tensor:
    """Black out what lies outside a circle that nearly fills the picture; its edge is two pixels soft."""
    ys, xs = _axes(size)
    radius = plane(draws.uniform(0.95, 1.35))
    x, y = plane(draws.uniform(-0.08, 0.08)), plane(draws.uniform(-0.08, 0.08))
    outside = tf.sqrt(tf.square(xs - x) + tf.square(ys - y)) - radius
    cover = tf.clip_by_value(outside * size / 4.0, 0.0, 1.0)[..., None] * draws.chance(share)
    return pixels * (1.0 - cover) + 8.0 * cover


def ruled(pixels: tf.Tensor, draws: RandomDraws, size: int, share: float) -> tf.Tensor:
    """Draw a ruler's marks along one edge, at a slant, every fifth twice as long."""
    ys, xs = _axes(size)
    slant = plane(tf.floor(draws.uniform(0.0, 4.0)) * (math.pi / 2) + draws.uniform(-0.2, 0.2))
    along = xs * tf.cos(slant) + ys * tf.sin(slant)
    across = ys * tf.cos(slant) - xs * tf.sin(slant)
    spacing = plane(draws.uniform(0.7, 1.4)) * 2.0 / _MARKS
    position = along / spacing + 100.0
    number = tf.round(position)
    length = tf.where(tf.equal(tf.math.floormod(number, 5.0), 0.0), 0.16, 0.08)
    base = plane(draws.uniform(0.75, 0.95))
    inside = tf.logical_and(across < base, across > base - length)
    mark = tf.cast(tf.logical_and(tf.abs(position - number) < 0.08, inside), tf.float32)[..., None]
    cover = mark * draws.chance(share)
    return pixels * (1.0 - cover) + draws.uniform(0.0, 80.0, 1, 1, 1) * cover


def _axes(size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return rows [1, size, 1] and columns [1, 1, size] from -1 to 1."""
    line = tf.linspace(-1.0, 1.0, size)
    return line[None, :, None], line[None, None, :]
