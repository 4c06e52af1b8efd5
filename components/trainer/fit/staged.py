"""Training through stages: the strategies that change the network's own weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.data.batches import Batch, Batches, at_size, cache_size
from components.trainer.export import readout
from components.trainer.fit import lr_finder, optimisation
from components.trainer.fit.backup import assign
from components.trainer.fit.callbacks import (
    BackupWriter,
    EarlyStopping,
    Ema,
    EpochLog,
    KeepWeights,
    ReduceOnPlateau,
)
from components.trainer.fit.distribution import Workers
from components.trainer.fit.folds import NO_FOLD, Fold
from components.trainer.fit.history import Scores, scores
from components.trainer.fit.loop import (
    Callback,
    Clock,
    Loop,
    StagePlan,
    TrainState,
    Weights,
    stage_costs,
)
from components.trainer.fit.task import Task, TrainContext
from components.trainer.model import network as networks
from components.trainer.model.classifier import Classifier, InferenceGraph, Member, predict
from components.trainer.model.network import Network
from components.trainer.settings import OptimiserConfig, StageConfig
from core.numbers import duration

_FINDER_STREAM = 1_000_000  # its batches are those of no stage


@dataclass(frozen=True)
class Snapshot:
    """Weights that join the exported ensemble, and the side they are tested at."""

    weights: Weights
    size: int


@dataclass(frozen=True, eq=False)
class NetworkLearner:
    """One stage of a network, as the loop sees it: compiled steps, and figures on eval."""

    config: TrainerConfig
    task: Task
    network: Network
    optimiser: optimisation.Optimiser
    ema: Ema | None
    workers: Workers
    size: int  # tested at, px
    graphs: dict[int, InferenceGraph]  # of evaluation by the side tested at, kept from stage to stage

    @cached_property
    def _step(self) -> Callable[..., Any]:
        return _compiled_step(self)

    def step(self, batch: Batch, factor: float) -> float:
        """Take one step at `factor` times the peak learning rates; return the loss before it."""
        return float(self._step(batch, tf.constant(factor, tf.float32)))

    def weights(self) -> Weights:
        """Return a copy of every weight."""
        return self.network.weights()

    def evaluate(self) -> Scores:
        """Return the figures on eval, of pictures alone, as most clients ask."""
        self.workers.average_statistics(self.network)
        evaluation, classes = self.task.evaluation, self.task.classes
        classifier = Classifier((Member(self.network, self.size),), classes, 1)
        if self.size not in self.graphs:
            side = evaluation.pictures.shape[1]
            self.graphs[self.size] = InferenceGraph(classifier, side, learning=True)
        found = predict(classifier, evaluation.pictures, graph=self.graphs[self.size]).class_probabilities
        read = readout.fit(classes, evaluation.targets, found, self.config.head.others)
        measured = scores(evaluation.targets, read(tf.constant(found)).numpy())
        # The last bit may differ, and all must decide alike on the best epoch and on the end.
        (score,) = self.workers.mean([measured.score])
        return replace(measured, score=float(score))


class StagedTraining:
    """Runs every stage of a configuration, from a backup if there is one."""

    def __init__(
        self,
        config: TrainerConfig,
        task: Task,
        context: TrainContext,
        *,
        initial: Weights | None = None,
        fold: Fold = NO_FOLD,
    ) -> None:
        """Build the network; `initial` replaces the configured weights: a warm start of backbone and head."""
        self._config = config
        self._task = task
        self._context = context
        self._fold = fold
        self._build = partial(
            networks.build,
            config,
            classes=len(task.classes),
            moments=task.moments,
            metadata=task.metadata,
        )
        with context.workers.chief_first():  # a download is kept on disk
            self._network = self._build(size=config.fixed_size)
        if initial is not None:
            self._network.model.set_weights(initial)
        self._initial = self._network.weights()
        context.workers.offset_rng_state(self._network)
        self._state = TrainState()
        self._clock = Clock(config.max_minutes)
        self._snapshots: list[Snapshot] = []
        self._kept = KeepWeights(config.keep)
        self._ema: Ema | None = None
        self._graphs: dict[int, InferenceGraph] = {}
        self._rates: OptimiserConfig = config.optimiser

    @property
    def weights_from(self) -> str:
        """Where the first weights came from."""
        return self._network.backbone.weights

    @property
    def steps(self) -> int:
        """Steps taken in the stage that ran last."""
        return self._state.step

    def members(self) -> tuple[Member, ...]:
        """Train; return the networks that make up the model, built as they are served."""
        members = []
        for snapshot in self.run():
            network = self._build(size=snapshot.size, weights="none", fast=False)
            network.model.set_weights(snapshot.weights)
            # Its card says where its weights came from before training.
            backbone = replace(network.backbone, weights=self.weights_from)
            members.append(Member(replace(network, backbone=backbone), snapshot.size))
        return tuple(members)

    def run(self) -> list[Snapshot]:
        """Train; return the weights that make up the model."""
        saved = self._context.backup.load() if self._context.backup else None
        optimiser_state = averages = None
        if saved is not None:
            optimiser_state = self._restore(*saved)
            averages = saved[1].get("ema")
        self._context.workers.check_start(self._network, self._state)
        if saved is None and self._config.optimiser.finder is not None:
            self._find_rates(self._config.optimiser.finder)
        for number in range(self._state.stage, len(self._config.stages)):
            self._stage(number, optimiser_state, averages)
            optimiser_state = averages = None
        return self._snapshots

    def _find_rates(self, finder: lr_finder.FinderConfig) -> None:
        """The range test on the first stage's pictures; the weights are as before, the rates as configured."""
        config, stage = self._config, self._config.stages[0]
        networks.freeze(self._network, config, 0)
        rng = [np.array(v) for v in networks.rng_variables(self._network.model)]
        body, head = self._network.split_variables()
        optimiser = optimisation.Optimiser(config.optimiser, body, head)
        peak = config.optimiser.body_learning_rate if body else config.optimiser.head_learning_rate
        iterator = iter(self._batches(stage).dataset(_FINDER_STREAM, 0, 0))
        learner = self._learner(optimiser, None, stage)

        def at(rate: float) -> float:
            self._context.progress.tick("learning-rate finder: %.2g", rate)
            return learner.step(next(iterator), rate / peak)

        curve = lr_finder.find(finder, at)
        self._network.model.set_weights(self._initial)
        assign(networks.rng_variables(self._network.model), rng)
        if finder.choose != "nothing":
            chosen = curve.steepest if finder.choose == "steepest" else curve.highest
            self._rates = config.optimiser.scaled(chosen / peak)
        found = {
            **asdict(curve),
            "choose": finder.choose,
            "body_learning_rate": self._rates.body_learning_rate,
            "head_learning_rate": self._rates.head_learning_rate,
        }
        self._context.history.keep(lr_finder.FILE_NAME, json.dumps(found))
        self._context.progress.line(
            f"learning-rate finder: the loss fell fastest at {curve.steepest:.2g}, was lowest at "
            f"{10 * curve.highest:.2g}; backbone {self._rates.body_learning_rate:.2g}, "
            f"head {self._rates.head_learning_rate:.2g}"
        )

    def _restore(self, state: dict[str, Any], arrays: dict[str, Weights]) -> Weights:
        self._state = TrainState.of(state["state"])
        self._clock = Clock(self._config.max_minutes, self._state.spent)
        self._snapshots = [
            Snapshot(arrays[f"snapshot{i}"], size) for i, size in enumerate(state["snapshot_sizes"])
        ]
        self._kept = KeepWeights(self._config.keep, arrays.get("kept"))
        self._rates = self._config.optimiser.scaled(state["rates"])
        self._network.model.set_weights(arrays["weights"])
        assign(networks.rng_variables(self._network.model), arrays.get("rng"))
        self._context.workers.offset_rng_state(self._network)
        self._context.history.restore(state["epochs"])
        now = self._state
        self._context.progress.line(
            f"{self._fold.name}resumed in stage {now.stage + 1} after epoch {now.epoch}, step {now.step} "
            f"({duration(now.spent)} of training)"
        )
        return arrays["optimiser"]

    def _save(self, optimiser: optimisation.Optimiser) -> None:
        context = self._context
        if not context.workers.chief or context.backup is None:
            return
        self._state.spent = self._clock.spent()
        stages = self._fold.stages(self._config)
        arrays = {
            "weights": self._network.weights(),
            "rng": [np.array(v) for v in networks.rng_variables(self._network.model)],
            "optimiser": [np.array(v) for v in optimiser.state],
            "ema": [] if self._ema is None else [np.array(v) for v in self._ema.state],
            **{f"snapshot{i}": snapshot.weights for i, snapshot in enumerate(self._snapshots)},
        }
        if self._kept.weights is not None:
            arrays["kept"] = self._kept.weights
        state = {
            "state": asdict(self._state),
            "snapshot_sizes": [snapshot.size for snapshot in self._snapshots],
            "epochs": [row for row in context.history.rows() if row["stage"] in stages],
            "rates": self._rates.body_learning_rate / self._config.optimiser.body_learning_rate,
        }
        context.backup.save(state, arrays)

    def _stage(self, number: int, optimiser_state: Weights | None, averages: Weights | None) -> None:
        config, context, stage = self._config, self._context, self._config.stages[number]
        if optimiser_state is None:
            self._state = TrainState(stage=number, spent=self._clock.spent())
            self._kept = KeepWeights(config.keep)
            if stage.reset:
                self._network.model.set_weights(self._initial)
        state = self._state
        networks.freeze(self._network, config, number)
        optimiser = optimisation.Optimiser(self._rates, *self._network.split_variables())
        self._ema = Ema(optimiser.trained, config.optimiser.ema) if config.optimiser.ema else None
        assign(optimiser.state, optimiser_state)
        assign([] if self._ema is None else self._ema.state, averages)
        per_epoch = max(1, len(self._task.labels) // config.batch_size)
        plan = StagePlan(
            name=f"{self._fold.name}stage {number + 1} of {len(config.stages)}  {stage.size} px",
            number=self._fold.stages(config)[number],
            size=stage.size,
            epochs=stage.epochs,
            per_epoch=per_epoch,
            steps=max(1, round(stage.epochs * per_epoch)),
            budget=self._clock.budget(config.stages, number, state.stage_spent),
            costs=stage_costs(config.stages[number:]),
            rate=stage.rate,
        )
        callbacks: list[Callback] = [self._kept]
        if self._ema is not None:
            callbacks.append(self._ema)
        if config.optimiser.schedule == "plateau":
            callbacks.append(ReduceOnPlateau(config.optimiser))
        callbacks += [
            EarlyStopping(config.patience),
            EpochLog(context.history, context.progress),
            BackupWriter(lambda: self._save(optimiser)),
        ]
        learner = self._learner(optimiser, self._ema, stage)
        loop = Loop(learner, config.optimiser, config.batch_size, callbacks, context.progress)
        loop.run(state, plan, iter(self._batches(stage).dataset(number, *divmod(state.step, per_epoch))))
        if self._kept.weights is not None:
            self._network.model.set_weights(self._kept.weights)
        if stage.snapshot:
            self._snapshots.append(Snapshot(self._network.weights(), stage.test_size or stage.size))

    def _learner(
        self, optimiser: optimisation.Optimiser, ema: Ema | None, stage: StageConfig
    ) -> NetworkLearner:
        return NetworkLearner(
            self._config,
            self._task,
            self._network,
            optimiser,
            ema,
            self._context.workers,
            stage.test_size or stage.size,
            self._graphs,
        )

    def _batches(self, stage: StageConfig) -> Batches:
        config, task = self._config, self._task
        return Batches(
            at_size(task.train.pictures, cache_size(stage.size, config.image_size), self._context.progress),
            task.labels,
            len(task.classes),
            stage.size,
            config,
            metadata=task.metadata,
            metadata_features=task.metadata_features,
            soft=task.soft,
            workers=self._context.workers,
        )


def _compiled_step(learner: NetworkLearner) -> Callable[..., Any]:
    # The step holds what it needs and not the learner, which holds the step: each is freed with its stage.
    config, network, workers = learner.config, learner.network, learner.workers
    optimiser, ema = learner.optimiser, learner.ema
    weights = tf.constant(learner.task.class_weights)
    variables = [variable.value for variable in optimiser.trained]

    # No branch hangs on a tensor, and looking for one takes a quarter of a short training.
    @tf.function(autograph=False)
    def step(batch: Batch, factor: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            logits = network(batch.pixels, training=True, metadata_features=batch.metadata_features).logits
            value = optimisation.loss(config.loss, logits, batch.targets, weights)
            if config.distil_from:
                share, temperature = config.distil.weight, config.distil.temperature
                taught = optimisation.distillation(logits, batch.soft, temperature)
                value = (1.0 - share) * value + share * taught
            value += optimiser.penalty()
        *gradients, value = workers.averaged([*tape.gradient(value, variables), value])
        optimiser.apply(gradients, factor)
        if ema is not None:
            ema.update()
        return value

    return step
