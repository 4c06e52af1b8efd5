"""The one training loop: steps, evaluations, and callbacks around them.

A network trained through stages and a head trained on cached features differ in their `Learner`; when to stop,
what to keep, what to write down and when to back up are callbacks of the same loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.trainer.fit.history import Epoch, Scores
from components.trainer.fit.optimisation import rate
from components.trainer.progress import Progress, speed
from components.trainer.settings import OptimiserConfig, StageConfig

Weights = list[npt.NDArray[np.float32]]


@dataclass
class RunningStats:
    """What has been counted since the last evaluation; times in seconds."""

    steps: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0


@dataclass
class TrainState:
    """Where training stands; everything a resumed run needs besides the arrays."""

    stage: int = 0  # from 0
    epoch: int = 0  # evaluations made in the stage
    step: int = 0  # steps taken in the stage
    over: bool = False  # whether the stage has ended
    spent: float = 0.0  # seconds of training, those of an interrupted run included
    stage_spent: float = 0.0  # seconds of this stage
    best: float = -math.inf  # highest score on eval in this stage
    best_epoch: int = 0  # the epoch that had it
    lr_scale: float = 1.0  # what a plateau has multiplied the learning rate by
    plateau_best: float = -math.inf  # the score that the plateau waits to see exceeded
    plateau_waited: int = 0  # evaluations it has waited
    stats: RunningStats = field(default_factory=RunningStats)

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> TrainState:
        """Return what `asdict` made of a state."""
        return cls(**{**saved, "stats": RunningStats(**saved["stats"])})


@dataclass(frozen=True)
class StagePlan:
    """One stage's length and name."""

    name: str  # how its lines begin, such as "stage 1 of 3  128 px"
    number: int  # in the run's history
    size: int  # side of its pictures, px
    epochs: float  # planned, a fraction where the last one is cut short
    per_epoch: int  # steps of an epoch
    steps: int  # in all
    budget: float | None = None  # seconds it may take; None = as long as its steps take
    costs: tuple[float, ...] = (1.0,)  # of this stage and of those after it, in any one unit
    rate: float = 1.0  # factor on the peak learning rates

    def done(self, state: TrainState) -> float:
        """Return the part (0..1) of the stage that is over, by steps or by time, whichever is further."""
        by_time = 0.0 if self.budget is None else state.stage_spent / max(self.budget, 1e-3)
        return max(state.step / self.steps, by_time)

    def left(self, state: TrainState) -> float:
        """Estimate the seconds to the end of this stage and those after it."""
        done = self.costs[0] * (1.0 if state.over else min(self.done(state), 1.0))
        return state.stage_spent / max(done, 1e-9) * (sum(self.costs) - done)


class Clock:
    """Seconds spent, those of an interrupted run included, and what is left for a stage.

    A stage's cost is taken as its epochs times its pixels. If the time suffices nothing changes; if it does
    not, the remaining stages are shortened in proportion, learning rates still falling to their end.
    """

    def __init__(self, max_minutes: float | None, spent: float = 0.0) -> None:
        self._limit = None if max_minutes is None else max_minutes * 60.0
        self._started = time.monotonic() - spent

    def spent(self) -> float:
        """Return the seconds since training began."""
        return time.monotonic() - self._started

    def budget(self, stages: Sequence[StageConfig], number: int, done: float = 0.0) -> float | None:
        """Return the seconds for stage `number`, of what is left for it and the later ones; None = no limit.

        `done` seconds of the stage are over already, before an interruption; they are part of the answer.
        """
        if self._limit is None:
            return None
        costs = stage_costs(stages[number:])
        return max(self._limit - self.spent() + done, 0.0) * costs[0] / sum(costs)


def stage_costs(stages: Sequence[StageConfig]) -> tuple[float, ...]:
    """Return what each stage costs: its epochs times its pixels."""
    return tuple(stage.epochs * stage.size**2 for stage in stages)


class Learner(Protocol):
    """What the loop trains."""

    def step(self, batch: Any, factor: float) -> float:
        """Take one step at `factor` times the peak learning rates; return the loss before it."""

    def evaluate(self) -> Scores:
        """Return the figures on eval of the present weights."""

    def weights(self) -> Weights:
        """Return a copy of the present weights."""


class Callback:
    """What happens beside the steps; every method may be left as it is."""

    def evaluation(self) -> AbstractContextManager[None]:
        """Surround an evaluation, and what is kept of it."""
        return nullcontext()

    def on_scores(self, state: TrainState, scores: Scores, learner: Learner) -> None:
        """Look at the figures while the evaluated weights are in place; `state.epoch` counts this one."""

    def on_step_end(self, state: TrainState) -> None:
        """Run after each step."""

    def on_epoch_end(self, state: TrainState, plan: StagePlan, epoch: Epoch) -> None:
        """Run after each evaluation, in the order of the callbacks; may set `state.over`."""


@dataclass(frozen=True, eq=False)
class Loop:
    """Runs stages of one learner."""

    learner: Learner
    optimiser: OptimiserConfig
    batch_size: int
    callbacks: Sequence[Callback]
    progress: Progress
    sees_images: bool = True  # not a head on cached features, whose steps say nothing of images a second

    def run(self, state: TrainState, plan: StagePlan, batches: Iterator[Any]) -> None:
        """Train until the stage is over; `state` says how much of it was done before.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        while not state.over:
            self._evaluate(state, plan, self._epoch(state, plan, batches))

    def _epoch(self, state: TrainState, plan: StagePlan, batches: Iterator[Any]) -> float:
        """Train to the end of an epoch; returns the last factor on the learning rates."""
        last = min(plan.steps, (state.epoch + 1) * plan.per_epoch)
        stats, factor, began = state.stats, 0.0, time.monotonic()
        # One step at least, so that a budget already spent still leaves a trained network.
        while state.step < last and (plan.done(state) < 1.0 or state.step == 0):
            batch = next(batches)
            arrived = time.monotonic()
            factor = plan.rate * rate(self.optimiser, plan.done(state)) * state.lr_scale
            stats.loss += self.learner.step(batch, factor)
            now = time.monotonic()
            stats.steps += 1
            stats.waited += arrived - began
            stats.seconds += now - began
            state.stage_spent += now - began
            state.step += 1
            self.progress.tick(
                f"{plan.name}, step {state.step} of {plan.steps}, loss {stats.loss / stats.steps:.3f}"
                + self._shown_speed(stats)
            )
            for callback in self.callbacks:
                callback.on_step_end(state)
            began = time.monotonic()
        return factor

    def _speed(self, stats: RunningStats) -> float:
        return stats.steps * self.batch_size / max(stats.seconds, 1e-9)

    def _shown_speed(self, stats: RunningStats) -> str:
        # The first step builds its graph: what it took is not a speed.
        known = self.sees_images and stats.steps > 1
        return f", {speed(self._speed(stats))}" if known else ""

    def _evaluate(self, state: TrainState, plan: StagePlan, factor: float) -> None:
        """Score on eval, write the epoch down, and decide whether the stage is over."""
        stats, started = state.stats, time.monotonic()
        mean_loss = stats.loss / max(stats.steps, 1)
        if not math.isfinite(mean_loss):
            raise FloatingPointError(
                f"{plan.name}: the loss is {mean_loss}; lower optimiser.body_learning_rate (now "
                f"{self.optimiser.body_learning_rate}), optimiser.head_learning_rate (now "
                f"{self.optimiser.head_learning_rate}) or optimiser.clip_norm"
            )
        with ExitStack() as stack:
            for callback in self.callbacks:
                stack.enter_context(callback.evaluation())
            found = self.learner.evaluate()
            state.epoch += 1
            for callback in self.callbacks:
                callback.on_scores(state, found, self.learner)
        took = time.monotonic() - started
        state.stage_spent += took
        state.over = plan.done(state) >= 1.0
        epoch = Epoch(
            stage=plan.number,
            size=plan.size,
            epoch=state.epoch,
            loss=mean_loss,
            learning_rate=factor,
            seconds=stats.seconds + took,
            waiting=stats.waited / max(stats.seconds, 1e-9),
            images_per_second=self._speed(stats),
            figures=found.figures,
        )
        state.stats = RunningStats()
        for callback in self.callbacks:
            callback.on_epoch_end(state, plan, epoch)
