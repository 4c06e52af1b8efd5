"""The U-Net: down with doubling filters, up again, each level joined with its mirror image.

Source: Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI
2015; with batch normalisation, and padding so that the mask is as large as the picture.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from studies.segmentation.config import SegmentationConfig


def build(config: SegmentationConfig) -> keras.Model:
    """Return the network: float32 [batch, height, width, 3] as `prepare` makes it -> logits [batch, height, width]."""
    inputs = keras.Input((config.height, config.width, 3), name="image")
    x, across = inputs, []
    for level in range(config.depth):
        x = _twice(x, config.filters * 2**level, f"down{level}")
        across.append(x)
        x = keras.layers.MaxPooling2D(name=f"down{level}_pool")(x)
    x = _twice(x, config.filters * 2**config.depth, "bottom")
    x = keras.layers.Dropout(config.dropout, seed=config.seed, name="bottom_dropout")(x)
    for level in reversed(range(config.depth)):
        filters = config.filters * 2**level
        x = keras.layers.UpSampling2D(name=f"up{level}_double")(x)
        x = keras.layers.Conv2D(filters, 2, padding="same", name=f"up{level}_conv")(x)
        x = keras.layers.Concatenate(name=f"up{level}_join")([across[level], x])
        x = _twice(x, filters, f"up{level}")
    x = keras.layers.Conv2D(1, 1, name="logits")(x)
    return keras.Model(inputs, keras.layers.Reshape((config.height, config.width))(x), name="unet")


def prepare(pixels: tf.Tensor) -> tf.Tensor:
    """Standardise each channel of each picture by itself: float pixels 0..255, any shape [batch, h, w, 3].

    Brightness and white balance of the camera drop out, which matters more than anything else when the next
    picture comes from another one.
    """
    mean, variance = tf.nn.moments(pixels, axes=[1, 2], keepdims=True)
    return (pixels - mean) / (tf.sqrt(variance) + 8.0)  # 8 grey levels: noise of a plain picture stays noise


def _twice(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    for number in (1, 2):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{number}")(x)
        x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_norm{number}")(x)
        x = keras.layers.ReLU(name=f"{name}_relu{number}")(x)
    return x
