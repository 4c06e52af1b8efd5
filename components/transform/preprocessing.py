"""What Transform computes over the training split: channel moments, age statistics, vocabularies.

Pixels are never written out: the graph holds constants that the Trainer bakes into the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import tensorflow as tf
import tensorflow_transform as tft

from components.transform import images
from core import features

CHANNEL_MEAN: Final = "channel_mean"  # float32 [batch, 3], the same row throughout, in 0..255
CHANNEL_STD: Final = "channel_std"  # float32 [batch, 3], the same row throughout, in 0..255
AGE_SCALED: Final = "age_scaled"  # float32 [batch], zero mean and unit deviation; 0 where unknown
AGE_KNOWN: Final = "age_known"  # float32 [batch], 1 or 0
SEX_ID: Final = "sex_id"  # int64 [batch], 0 = unknown
SITE_ID: Final = "site_id"  # int64 [batch], 0 = unknown

_MOMENTS_SIZE: Final = 64  # moments of a picture of 64 px and of 224 px differ by less than 1 %
_SMALLEST_STD: Final = 1.0  # grey levels: an all-black data set must not divide by zero


def preprocessing_fn(inputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """The tf.Transform graph.

    Args:
        inputs: raw features by the names in core/features.py; optional ones sparse [batch, None].

    Returns:
        Dense features: the constants and ids named above, and target, diagnosis, image and image_name.
    """
    encoded = dense(inputs[features.IMAGE], b"")
    outputs = {
        features.IMAGE: encoded,
        features.IMAGE_NAME: dense(inputs[features.IMAGE_NAME], b""),
        features.TARGET: dense(inputs[features.TARGET], 0),
        features.DIAGNOSIS: _optional(inputs, features.DIAGNOSIS, encoded),
    }
    outputs |= _channel_moments(encoded)
    outputs |= _age(inputs, encoded)
    for identifier, name in ((SEX_ID, features.SEX), (SITE_ID, features.SITE)):
        outputs[identifier] = _vocabulary_id(_optional(inputs, name, encoded), name)
    return outputs


def dense(column: Any, default: Any) -> tf.Tensor:
    """A scalar column as [batch]: optional ones arrive as sparse [batch, None] with at most one value."""
    if isinstance(column, tf.sparse.SparseTensor):
        column = tf.sparse.SparseTensor(column.indices, column.values, [column.dense_shape[0], 1])
        column = tf.sparse.to_dense(column, default_value=tf.constant(default, column.dtype))
    return tf.reshape(column, [-1])


def _channel_moments(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
    # In double precision: Beam adds its batches in an order that depends on the clock, and no digit may.
    pixels = tf.cast(images.decode_batch(encoded, _MOMENTS_SIZE), tf.float64)
    mean = tft.mean(tf.reduce_mean(pixels, axis=[1, 2]), reduce_instance_dims=False)
    square = tft.mean(tf.reduce_mean(tf.square(pixels), axis=[1, 2]), reduce_instance_dims=False)
    std = tf.maximum(tf.sqrt(tf.maximum(square - tf.square(mean), 0.0)), _SMALLEST_STD)
    return {
        CHANNEL_MEAN: _repeat(tf.cast(mean, tf.float32), encoded),
        CHANNEL_STD: _repeat(tf.cast(std, tf.float32), encoded),
    }


def _age(inputs: Mapping[str, Any], like: tf.Tensor) -> dict[str, tf.Tensor]:
    if features.AGE not in inputs:
        zeros = tf.zeros(tf.shape(like))
        return {AGE_SCALED: zeros, AGE_KNOWN: zeros}
    years = dense(inputs[features.AGE], float("nan"))
    known = tf.cast(tf.math.is_finite(years), tf.float32)
    filled = tf.where(known > 0, years, tf.zeros_like(years))
    count = tf.maximum(tft.sum(known), 1.0)
    mean = tft.sum(filled) / count
    variance = tf.maximum(tft.sum(tf.square(filled)) / count - tf.square(mean), 1.0)  # square years
    scaled = (filled - mean) / tf.sqrt(variance) * known  # the mean, 0, where unknown
    return {AGE_SCALED: scaled, AGE_KNOWN: known}


def _optional(inputs: Mapping[str, Any], name: str, like: tf.Tensor) -> tf.Tensor:
    if name not in inputs:
        return tf.fill(tf.shape(like), "")
    return dense(inputs[name], b"")


def _vocabulary_id(values: tf.Tensor, name: str) -> tf.Tensor:
    known = tf.logical_and(tf.not_equal(values, ""), tf.not_equal(tf.strings.lower(values), features.UNKNOWN))
    path = tft.vocabulary(tf.boolean_mask(values, known), vocab_filename=name)
    # 0 for whatever is not in the vocabulary, the unknown among it.
    return tft.apply_vocabulary(values, path, default_value=-1) + 1


def _repeat(row: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    return tf.tile(tf.reshape(row, [1, 3]), [tf.shape(like)[0], 1])
