"""MixStyle: pictures of a batch exchange part of the statistics of their first feature maps.

Means and deviations of early feature maps carry the camera and the light, not the lesion; a network that has seen
them mixed leans on them less (Zhou et al., "Domain Generalization with MixStyle", ICLR 2021). Nothing is exported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import keras
import tensorflow as tf

_ALPHA: Final = 0.1  # of the Beta distribution: mostly a little of one, or a little of the other
_TRAINING: ContextVar[bool] = ContextVar("mixstyle_training", default=False)


@contextmanager
def training(on: bool) -> Iterator[None]:
    """Let the model that is traced inside the block mix; elsewhere it is as it was."""
    token = _TRAINING.set(on)
    try:
        yield
    finally:
        _TRAINING.reset(token)


def use(model: keras.Model, names: Sequence[str], share: float) -> None:
    """Make the named layers' outputs exchange statistics in a ``share`` of all training batches."""
    for name in names:
        layer = model.get_layer(name)
        layer.call = _mixing(layer.call, share)


def mixed(maps: tf.Tensor, share: float) -> tf.Tensor:
    """Return feature maps ([batch, height, width, channels]) whose means and deviations are partly another picture's.

    What is drawn follows from the maps themselves, so that a resumed training draws as one that was not stopped.
    """
    batch = tf.shape(maps)[0]
    mean, variance = tf.nn.moments(tf.stop_gradient(maps), [1, 2], keepdims=True)
    deviation = tf.sqrt(variance + 1e-6)
    seed = tf.stack([tf.bitcast(tf.cast(tf.reduce_sum(mean), tf.float32), tf.int32), batch])
    order = tf.argsort(tf.random.stateless_uniform([batch], seed + 1))
    gammas = tf.random.stateless_gamma([2, batch, 1, 1, 1], seed + 2, _ALPHA, dtype=tf.float32) + 1e-8
    own = tf.cast(gammas[0] / tf.reduce_sum(gammas, axis=0), maps.dtype)
    new_mean = own * mean + (1 - own) * tf.gather(mean, order)
    new_deviation = own * deviation + (1 - own) * tf.gather(deviation, order)
    there = tf.cast(tf.random.stateless_uniform([], seed + 3) < share, maps.dtype)
    return maps + there * ((maps - mean) / deviation * new_deviation + new_mean - maps)


def _mixing(call: Any, share: float) -> Any:
    def changed(*inputs: Any, **options: Any) -> Any:
        outputs = call(*inputs, **options)
        return mixed(outputs, share) if _TRAINING.get() else outputs

    return changed
