"""How P(positive) is read out of a diagnosis head.

The plain sum of positive softmax outputs loses melanomas that look a little like everything: another camera
or a rare kind of melanoma spreads its probability over keratoses and carcinomas. Counting the negatives other
than the commonest one (nevi) with a weight below 1 asks rather "melanoma or nevus?". On HAM10000 that raised
the AUC of one network from 0.880 to 0.904, and on pictures of another source from 0.61 to 0.72.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.model.classes import Classes
from core.measures.auc import auc
from core.measures.rates import Labels

_EPSILON: Final = 1e-6
_WEIGHTS: Final = (0.03, 0.06, 0.1, 0.2, 0.4, 1.0)
# Lower weights travel better to other cameras: the lowest one that costs eval no more than this is taken.
_TOLERANCE: Final = 0.004


@dataclass(frozen=True)
class Readout:
    """P(positive) = sum(positive * share) / sum(weight * share)."""

    positive: tuple[float, ...]  # 1.0 for positive classes, else 0.0
    weight: tuple[float, ...]  # 1.0 for positive classes and the commonest negative one, else `others`
    others: float

    def __call__(self, class_probabilities: tf.Tensor) -> tf.Tensor:
        """P(positive), float32 [batch], strictly inside 0..1, of softmax outputs [batch, classes]."""
        above = tf.reduce_sum(class_probabilities * tf.constant(self.positive), axis=-1)
        below = tf.reduce_sum(class_probabilities * tf.constant(self.weight), axis=-1)
        return tf.clip_by_value(above / tf.maximum(below, _EPSILON), _EPSILON, 1.0 - _EPSILON)


def with_weight(classes: Classes, others: float) -> Readout:
    """The readout in which the rarer negatives count `others`."""
    weight = [
        1.0 if positive or number == classes.commonest else others
        for number, positive in enumerate(classes.positive)
    ]
    return Readout(classes.positive, tuple(weight), others)


def fit(
    classes: Classes,
    targets: Labels,
    class_probabilities: npt.NDArray[np.float32],
    others: float | None = None,
) -> Readout:
    """The configured readout or, where `others` is None, the one chosen on eval's softmax outputs."""
    if others is not None or len(classes) == 2:
        return with_weight(classes, 1.0 if others is None else others)
    tried = [
        (auc(targets, readout(tf.constant(class_probabilities)).numpy()), readout)
        for readout in (with_weight(classes, weight) for weight in _WEIGHTS)
    ]
    best = max(value for value, _ in tried)
    return next(readout for value, readout in tried if value >= best - _TOLERANCE)
