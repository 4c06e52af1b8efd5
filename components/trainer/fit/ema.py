"""Exponential moving average of weights: what is evaluated and exported is smoother than what is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from components.trainer.fit.loop import Callback


class Ema(Callback):
    """Averages of variables, updated once a step.

    The decay of step n is min(decay, (1 + n) / (10 + n)), so that short runs do not average the first,
    random weights in (Polyak and Juditsky 1992; the warm-up is TensorFlow's own).
    """

    def __init__(self, variables: Sequence[Any], decay: float) -> None:
        """Start from the present values of `variables` (Keras or TensorFlow ones, floating point)."""
        if not 0.0 < decay < 1.0:
            raise ValueError(f"ema={decay}: give a decay inside 0..1, or leave the average out")
        self._variables = list(variables)
        self._decay = decay
        self._averages = [tf.Variable(_value(v), trainable=False) for v in self._variables]
        self._steps = tf.Variable(0.0, trainable=False)

    @property
    def state(self) -> list[tf.Variable]:
        """Everything that must be restored to go on as if nothing had happened."""
        return [self._steps, *self._averages]

    def update(self) -> None:
        """Take in the values after a step; may be called inside a tf.function."""
        self._steps.assign_add(1.0)
        decay = tf.minimum(self._decay, (1.0 + self._steps) / (10.0 + self._steps))
        for average, variable in zip(self._averages, self._variables, strict=True):
            average.assign_sub(tf.cast(1.0 - decay, average.dtype) * (average - _value(variable)))

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """The variables hold their averages inside the block, and their own values again after it."""
        trained = [tf.identity(_value(v)) for v in self._variables]
        self._assign(self._averages)
        try:
            yield
        finally:
            self._assign(trained)

    def _assign(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)


def _value(variable: Any) -> tf.Tensor:
    return tf.convert_to_tensor(variable.value if hasattr(variable, "path") else variable)
