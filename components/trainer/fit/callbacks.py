"""Callbacks of the training loop: which weights are kept and averaged, when it stops, what is written down."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import tensorflow as tf

from components.trainer.fit.backup import assign
from components.trainer.fit.history import Epoch, History, Scores
from components.trainer.fit.loop import Callback, Learner, StagePlan, TrainState, Weights
from components.trainer.progress import Progress
from components.trainer.settings import OptimiserConfig
from core.numbers import duration

_BACKUP_SECONDS = 60.0
_BETTER = 1e-4  # what a score must rise by to end a plateau


class KeepWeights(Callback):
    """Keeps the weights that are the stage's result: best on eval, or last."""

    def __init__(self, keep: Literal["best", "last"], weights: Weights | None = None) -> None:
        """Start from what an interrupted stage had kept, if it had."""
        self._keep = keep
        self.weights = weights

    def on_scores(self, state: TrainState, scores: Scores, learner: Learner) -> None:
        """Keep a copy if these weights are the result so far."""
        better = scores.score > state.best
        if better:
            state.best, state.best_epoch = scores.score, state.epoch
        if better or self._keep == "last":
            self.weights = learner.weights()


class ReduceOnPlateau(Callback):
    """Lowers the learning rate when the score on eval stops rising."""

    def __init__(self, config: OptimiserConfig) -> None:
        self._config = config

    def on_scores(self, state: TrainState, scores: Scores, learner: Learner) -> None:  # noqa: ARG002
        """Lower the rate if the plateau has lasted long enough; NaN is no better."""
        if scores.score > state.plateau_best + _BETTER:
            state.plateau_best, state.plateau_waited = scores.score, 0
            return
        state.plateau_waited += 1
        if state.plateau_waited >= self._config.plateau_patience:
            state.lr_scale = max(self._config.final, state.lr_scale * self._config.fall)
            state.plateau_waited = 0


class EarlyStopping(Callback):
    """Ends a stage after so many evaluations without a better score; 0 = never."""

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def on_epoch_end(self, state: TrainState, plan: StagePlan, epoch: Epoch) -> None:  # noqa: ARG002
        """End the stage if its patience is over."""
        if self._patience and state.epoch - state.best_epoch >= self._patience:
            state.over = True


class EpochLog(Callback):
    """Records each epoch in the history and prints it."""

    def __init__(self, history: History, progress: Progress) -> None:
        self._history = history
        self._progress = progress
        self._figures = ""

    def on_scores(self, state: TrainState, scores: Scores, learner: Learner) -> None:  # noqa: ARG002
        """Remember the figures for the line."""
        self._figures = scores.text

    def on_epoch_end(self, state: TrainState, plan: StagePlan, epoch: Epoch) -> None:
        """Record and print the epoch."""
        self._history.add(epoch)
        self._progress.line(
            f"{plan.name}  epoch {epoch.epoch} of {math.ceil(plan.epochs)}  loss {epoch.loss:.3f}  {self._figures}  "
            f"{duration(epoch.seconds)}  left {duration(plan.left(state))}"
        )


class BackupWriter(Callback):
    """Saves where training stands after each epoch, and within epochs that take longer than a minute."""

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._saved = time.monotonic()

    def on_step_end(self, state: TrainState) -> None:  # noqa: ARG002
        """Save if the last backup is too old."""
        if time.monotonic() - self._saved > _BACKUP_SECONDS:
            self._write()

    def on_epoch_end(self, state: TrainState, plan: StagePlan, epoch: Epoch) -> None:  # noqa: ARG002
        """Save."""
        self._write()

    def _write(self) -> None:
        self._save()
        self._saved = time.monotonic()


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
        assign(self._variables, self._averages)
        try:
            yield
        finally:
            assign(self._variables, trained)


def _value(variable: Any) -> tf.Tensor:
    return tf.convert_to_tensor(variable.value if hasattr(variable, "path") else variable)
