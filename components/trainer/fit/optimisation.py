"""Optimisers, learning-rate schedules and losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import keras
import tensorflow as tf

from components.trainer.settings import LossConfig, OptimiserConfig

_FIRST = 1e-3  # a step at no rate at all would teach nothing
_STEPS = 3  # equal parts of a stage between which a step schedule falls


def rate(config: OptimiserConfig, progress: float) -> float:
    """Factor on the peak learning rates after this share (0..1, clipped) of a stage; a plateau's falls come on top."""
    progress = min(max(progress, 0.0), 1.0)
    if progress < config.warmup:
        return max(progress / config.warmup, _FIRST)
    return _SCHEDULES[config.schedule](config, (progress - config.warmup) / (1.0 - config.warmup))


def _constant(config: OptimiserConfig, along: float) -> float:  # noqa: ARG001 - one signature for all
    return 1.0


def _step(config: OptimiserConfig, along: float) -> float:
    falls = min(int(along * _STEPS), _STEPS - 1)
    return max(config.final, config.fall**falls)


def _cosine(config: OptimiserConfig, along: float) -> float:
    """Loshchilov and Hutter, SGDR, ICLR 2017."""
    number, inside = _cycle(config, along)
    return _between(config, number, 0.5 * (1.0 + math.cos(math.pi * inside)))


def _cyclic(config: OptimiserConfig, along: float) -> float:
    """Smith, Cyclical Learning Rates, WACV 2017: up and down again in straight lines."""
    number, inside = _cycle(config, along)
    return _between(config, number, 1.0 - abs(2.0 * inside - 1.0))


def _cycle(config: OptimiserConfig, along: float) -> tuple[int, float]:
    """Number of the cycle, and the share of it that is over; the stage's end belongs to the last one."""
    cycles = config.cycles or (3 if config.schedule == "cyclic" else 1)
    number = min(int(along * cycles), cycles - 1)
    return number, along * cycles - number


def _between(config: OptimiserConfig, number: int, share: float) -> float:
    peak = max(config.final, config.cycle_decay**number)
    return config.final + (peak - config.final) * share


_SCHEDULES: Final[dict[str, Callable[[OptimiserConfig, float], float]]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "cyclic": _cyclic,
    "plateau": _constant,
}


class Optimiser:
    """Two update rules with one clipped gradient: the backbone moves more slowly than the head."""

    def __init__(self, config: OptimiserConfig, body: list[Any], head: list[Any]) -> None:
        self._config = config
        self._parts = [
            (_rule(config, peak), variables, peak)
            for peak, variables in ((config.body_learning_rate, body), (config.head_learning_rate, head))
            if variables
        ]
        for rule, variables, _ in self._parts:
            rule.build(variables)

    @property
    def trained(self) -> list[Any]:
        """The variables that move."""
        return [variable for _, variables, _ in self._parts for variable in variables]

    @property
    def state(self) -> list[Any]:
        """Everything that must be restored to go on as if nothing had happened."""
        return [variable for rule, _, _ in self._parts for variable in rule.variables]

    def apply(self, gradients: list[tf.Tensor], factor: tf.Tensor) -> tf.Tensor:
        """One step at `factor` times the peak rates; returns the gradient's norm before clipping."""
        gradients, norm = tf.clip_by_global_norm(gradients, self._config.clip_norm)
        start = 0
        for rule, variables, peak in self._parts:
            rule.learning_rate.assign(peak * factor)
            rule.apply(gradients[start : start + len(variables)], variables)
            start += len(variables)
        return norm

    def penalty(self) -> tf.Tensor:
        """The L1 and L2 terms of the loss."""
        kernels = [v.value for v in self.trained if _is_kernel(v)]
        value = tf.constant(0.0)
        if self._config.l2:
            value = self._config.l2 * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
        if self._config.l1:
            value += self._config.l1 * tf.add_n([tf.reduce_sum(tf.abs(kernel)) for kernel in kernels])
        return value


class AdamW(keras.optimizers.AdamW):
    """Keras's AdamW; momenta and weights are updated by one kernel, in one pass instead of ten."""

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        """Move one variable, by Keras's own formula."""
        index = self._get_variable_index(variable)
        # The kernel takes numbers of another type for the variable's own, and ends the process.
        kind = variable.dtype
        step = tf.cast(self.iterations.value + 1, kind)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, kind), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, kind), step),
            lr=tf.cast(learning_rate, kind),
            beta1=tf.cast(self.beta_1, kind),
            beta2=tf.cast(self.beta_2, kind),
            epsilon=tf.cast(self.epsilon, kind),
            grad=tf.cast(gradient, kind),
            use_locking=True,
        )


def _is_kernel(variable: Any) -> bool:
    return len(variable.shape) > 1


def _rule(config: OptimiserConfig, peak: float) -> Any:
    optimisers = keras.optimizers
    if config.name == "adamw":
        rule = AdamW(peak, weight_decay=config.weight_decay)
        rule.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return rule
    if config.name == "adam":
        return optimisers.Adam(peak)
    if config.name == "sgd":
        return optimisers.SGD(peak, momentum=config.momentum, nesterov=config.momentum > 0)
    return optimisers.RMSprop(peak, momentum=config.momentum)


def distillation(logits: tf.Tensor, soft: tf.Tensor, temperature: float) -> tf.Tensor:
    """Mean cross-entropy with a teacher's probabilities, both softened (Hinton et al., 2015).

    Args:
        logits: float32 [batch, classes].
        soft: float32 [batch, classes], the teacher's probabilities.
        temperature: divides the logits of both; its square keeps the gradients' size.
    """
    teacher = tf.nn.softmax(tf.math.log(tf.maximum(soft, 1e-7)) / temperature)
    terms = -tf.reduce_sum(teacher * tf.nn.log_softmax(logits / temperature), axis=-1)
    return temperature**2 * tf.reduce_mean(terms)


def loss(config: LossConfig, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Mean loss of a batch.

    Args:
        config: kind and label smoothing.
        logits: float32 [batch, classes].
        labels: float32 [batch, classes], rows that sum to 1 (mixed pictures have two classes).
        weights: float32 [classes].
    """
    count = logits.shape[-1]
    per_image = tf.reduce_sum(labels * weights, axis=-1)
    smooth = labels * (1.0 - config.label_smoothing) + config.label_smoothing / count
    log_probabilities = tf.nn.log_softmax(logits)
    if config.kind == "dice":
        # Soft Dice of each class over the batch (Milletari et al., 2016), classes weighted.
        probabilities = tf.exp(log_probabilities)
        overlap = 2.0 * tf.reduce_sum(probabilities * smooth, axis=0) + 1.0
        total = tf.reduce_sum(tf.square(probabilities) + tf.square(smooth), axis=0) + 1.0
        return 1.0 - tf.reduce_sum(weights * overlap / total) / tf.reduce_sum(weights)
    terms = -smooth * log_probabilities
    if config.kind == "focal":
        terms *= tf.pow(1.0 - tf.exp(log_probabilities), config.focal_gamma)  # Lin et al., ICCV 2017
    return tf.reduce_mean(per_image * tf.reduce_sum(terms, axis=-1))
