"""How well two masks agree, and the loss that asks for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Masks = npt.NDArray[np.bool_]


def jaccard(one: Masks, other: Masks) -> float:
    """Return intersection over union of two masks (bool [h, w]); 1 where both are empty."""
    union = int(np.sum(one | other))
    return float(np.sum(one & other)) / union if union else 1.0


def dice(one: Masks, other: Masks) -> float:
    """Return twice the intersection over the sum of both areas; 1 where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2.0 * float(np.sum(one & other)) / total if total else 1.0


def loss(logits: tf.Tensor, lesion: tf.Tensor, share: float) -> tf.Tensor:
    """Return `share` Dice loss (Milletari, Navab, Ahmadi, 3DV 2016, a picture at a time) and the rest cross-entropy.

    Args:
        logits: float32 [batch, h, w].
        lesion: float32 [batch, h, w], 0 or 1.
        share: 0..1.
    """
    entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(lesion, logits))
    probability = tf.sigmoid(logits)
    overlap = 2.0 * tf.reduce_sum(probability * lesion, axis=[1, 2]) + 1.0
    total = tf.reduce_sum(probability + lesion, axis=[1, 2]) + 1.0
    return share * tf.reduce_mean(1.0 - overlap / total) + (1.0 - share) * entropy
