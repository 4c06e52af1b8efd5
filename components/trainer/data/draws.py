"""Random numbers of the training pictures: stateless, so that a seed gives the same picture in any thread."""

from __future__ import annotations

import tensorflow as tf


class RandomDraws:
    """Independent draws from one stateless seed: the same seed gives the same picture in any thread."""

    def __init__(self, seed: tf.Tensor, batch: tf.Tensor) -> None:
        """Draw for `batch` pictures from a seed (int [2]); each draw uses a number after the second."""
        self._seed = tf.cast(seed, tf.int64)
        self._batch = batch
        self._drawn = 0

    def uniform(self, low: float, high: float, *shape: int) -> tf.Tensor:
        """float32 [batch, *shape] between low and high."""
        return tf.random.stateless_uniform([self._batch, *shape], self._next(), low, high)

    def normal(self, shape: tf.Tensor) -> tf.Tensor:
        """float32 of a shape, mean 0, deviation 1."""
        return tf.random.stateless_normal(shape, self._next())

    def chance(self, share: float) -> tf.Tensor:
        """1.0 with this probability, else 0.0: [batch, 1, 1, 1]."""
        return tf.cast(self.uniform(0.0, 1.0, 1, 1, 1) < share, tf.float32)

    def _next(self) -> tf.Tensor:
        self._drawn += 1
        return self._seed + tf.constant([0, self._drawn], tf.int64)


def column(values: tf.Tensor) -> tf.Tensor:
    """One number a picture as [batch, 1, 1, 1], for pixels."""
    return tf.reshape(values, [-1, 1, 1, 1])


def plane(values: tf.Tensor) -> tf.Tensor:
    """One number a picture as [batch, 1, 1], for one channel."""
    return tf.reshape(values, [-1, 1, 1])
