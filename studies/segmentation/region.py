"""One filled region out of a map of probabilities, in the graph: what the server answers is what was judged."""

from __future__ import annotations

from typing import Final

import tensorflow as tf

_STEPS: Final = 1024  # longest way through a region, px at the network's size


def one_region(probabilities: tf.Tensor, threshold: tf.Tensor | float) -> tf.Tensor:
    """Keep the region that matters most and fill its holes.

    The region with the largest sum of probabilities is kept, pixels near the middle counting more: a lesion is
    what the camera was held over. Where nothing reaches the threshold, half of the highest probability does.

    Args:
        probabilities: float32 [batch, h, w].
        threshold: scalar.

    Returns:
        float32 [batch, h, w]: >= the threshold exactly inside the region; soft at its rim, so that resizing it
        keeps the outline smooth.
    """
    highest = tf.reduce_max(probabilities, axis=[1, 2], keepdims=True)
    limit = tf.where(highest >= threshold, tf.cast(threshold, tf.float32), 0.5 * highest)
    # A lower limit is scaled up to the common one.
    field = tf.clip_by_value(probabilities * (threshold / tf.maximum(limit, 1e-6)), 0.0, 1.0)
    mask = tf.cast(field >= threshold, tf.float32)
    kept = _heaviest(mask, field)
    filled = _filled(kept)
    below = tf.minimum(field, tf.cast(threshold, tf.float32) * 0.999)
    other = mask * (1.0 - filled)
    return tf.where(filled > 0.5, tf.maximum(field, threshold), below * (1.0 - other))


def _heaviest(mask: tf.Tensor, field: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(mask)
    batch, height, width = shape[0], shape[1], shape[2]
    count = height * width
    numbers = tf.cast(tf.reshape(tf.range(1, count + 1), [1, height, width]), tf.float32) * mask
    labels = _spread(numbers, mask)
    flat = tf.cast(tf.reshape(labels, [batch, -1]), tf.int32)
    ys = tf.linspace(-1.0, 1.0, height)[:, None]
    xs = tf.linspace(-1.0, 1.0, width)[None, :]
    weight = tf.reshape(field * mask * (0.3 + 0.7 * tf.exp(-(xs**2 + ys**2)))[None], [batch, -1])
    offsets = tf.range(batch)[:, None] * (count + 1)
    sums = tf.math.unsorted_segment_sum(weight, flat + offsets, batch * (count + 1))
    sums = tf.reshape(sums, [batch, count + 1])[:, 1:]
    best = tf.argmax(sums, axis=1, output_type=tf.int32) + 1
    return tf.reshape(tf.cast(flat == best[:, None], tf.float32), shape)


def _filled(mask: tf.Tensor) -> tf.Tensor:
    padded = tf.pad(1.0 - mask, [[0, 0], [1, 1], [1, 1]], constant_values=1.0)
    rim = tf.pad(tf.zeros_like(mask), [[0, 0], [1, 1], [1, 1]], constant_values=1.0)
    outside = _spread(rim, padded)[:, 1:-1, 1:-1]
    return 1.0 - outside


def _spread(values: tf.Tensor, within: tf.Tensor) -> tf.Tensor:
    """Let the largest value of each connected part of `within` take hold of all of it."""

    def grow(now: tf.Tensor) -> tf.Tensor:
        return tf.nn.max_pool2d(now[..., None], 3, 1, "SAME")[..., 0] * within

    def step(now: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        new = grow(grow(now))
        return new, tf.reduce_any(tf.not_equal(new, now))

    result, _ = tf.while_loop(
        lambda _, changed: changed,
        step,
        (values, tf.constant(True)),
        maximum_iterations=_STEPS,
        shape_invariants=(values.shape, tf.TensorShape([])),
    )
    return result
