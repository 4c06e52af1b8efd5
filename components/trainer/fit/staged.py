"""Training through stages: the strategies that change the network's own weights."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.data.batches import Batch, Batches, Floats, at_size, cache_size
from components.trainer.data.metadata import Metadata
from components.trainer.data.records import Split
from components.trainer.export import readout
from components.trainer.export.scores import Scores, scores
from components.trainer.fit import agreement, lr_finder, optimisation
from components.trainer.fit.backup import Backup
from components.trainer.fit.clock import Clock
from components.trainer.fit.course import WHOLE, Part, Plan, Position, Tally
from components.trainer.fit.distribution import ONE, Workers
from components.trainer.fit.ema import Ema
from components.trainer.fit.history import Epoch, History
from components.trainer.fit.schedules import Plateau
from components.trainer.model import network as networks
from components.trainer.model.classes import Classes
from components.trainer.model.classifier import Classifier, Member, Traced, predict, trace
from components.trainer.model.network import Moments, Weights
from components.trainer.progress import Progress, duration
from components.trainer.settings import OptimiserConfig, StageConfig

_FINDER_STREAM = 1_000_000  # its batches are those of no stage
_BACKUP_SECONDS = 60.0  # an epoch at the largest size takes minutes


@dataclass(frozen=True)
class Snapshot:
    """Weights that join the exported ensemble, and the side they are tested at."""

    weights: Weights
    size: int


class StagedTraining:
    """Runs every stage of a configuration, from a backup where there is one."""

    def __init__(
        self,
        config: TrainerConfig,
        classes: Classes,
        moments: Moments,
        train: Split,
        evaluation: Split,
        labels: npt.NDArray[np.int32],
        weights: npt.NDArray[np.float32],
        *,
        backup: Backup,
        history: History,
        progress: Progress,
        initial: Weights | None = None,
        metadata: Metadata | None = None,
        told: Floats | None = None,
        soft: Floats | None = None,
        part: Part = WHOLE,
        workers: Workers = ONE,
    ) -> None:
        """`initial` replaces the configured weights: a warm start of backbone and head."""
        self._config = config
        self._classes = classes
        self._train = train
        self._eval = evaluation
        self._labels = labels
        self._class_weights = tf.constant(weights)
        self._backup = backup
        self._history = history
        self._progress = progress
        self._metadata, self._told, self._soft = metadata, told, soft
        self._part = part
        self._workers = workers
        with workers.chief_first():  # a download is kept on disk
            self._network = networks.build(
                config, size=config.fixed_size, classes=len(classes), moments=moments, metadata=metadata
            )
        if initial is not None:
            self._network.model.set_weights(initial)
        self._initial = self._network.weights()
        agreement.own_noise(workers, self._network)
        self._position = Position()
        self._clock = Clock(config.max_minutes)
        self._snapshots: list[Snapshot] = []
        self._kept: Weights | None = None
        self._ema: Ema | None = None
        self._traced: dict[int, Traced] = {}  # by the side tested at
        self._rates: OptimiserConfig = config.optimiser

    @property
    def weights_from(self) -> str:
        """Where the first weights came from."""
        return self._network.backbone.weights

    @property
    def steps(self) -> int:
        """Steps taken in the stage that ran last."""
        return self._position.step

    def run(self) -> list[Snapshot]:
        """Trains; returns the weights that make up the model."""
        saved = self._backup.load()
        optimiser_state = averages = None
        if saved is not None:
            optimiser_state = self._restore(*saved)
            averages = saved[1].get("ema")
        agreement.check(self._workers, self._network, self._position)
        if saved is None and self._config.optimiser.finder is not None:
            self._find_rates(self._config.optimiser.finder)
        for number in range(self._position.stage, len(self._config.stages)):
            self._stage(number, optimiser_state, averages)
            optimiser_state = averages = None
        return self._snapshots

    def _find_rates(self, finder: lr_finder.FinderConfig) -> None:
        """The range test on the first stage's pictures; the weights are as before, the rates as configured."""
        config, stage = self._config, self._config.stages[0]
        networks.freeze(self._network, config, 0)
        noise = [np.array(v) for v in self._network.noise()]
        body, head = self._network.split_variables()
        optimiser = optimisation.Optimiser(config.optimiser, body, head)
        peak = config.optimiser.body_learning_rate if body else config.optimiser.head_learning_rate
        iterator = iter(self._batches(stage).dataset(_FINDER_STREAM, 0, 0))
        step = self._step(optimiser)

        def at(rate: float) -> float:
            self._progress.tick("learning-rate finder: %.2g", rate)
            return float(step(next(iterator), tf.constant(rate / peak, tf.float32)))

        curve = lr_finder.find(finder, at)
        self._network.model.set_weights(self._initial)
        for variable, value in zip(self._network.noise(), noise, strict=True):
            variable.assign(value)
        if finder.choose != "nothing":
            found = curve.steepest if finder.choose == "steepest" else curve.highest
            self._rates = config.optimiser.scaled(found / peak)
        self._history.keep(
            lr_finder.FILE_NAME,
            json.dumps(
                {
                    **curve.as_dict(),
                    "choose": finder.choose,
                    "body_learning_rate": self._rates.body_learning_rate,
                    "head_learning_rate": self._rates.head_learning_rate,
                }
            ),
        )
        self._progress.line(
            "learning-rate finder: the loss fell fastest at %.2g, was lowest at %.2g; backbone %.2g, head %.2g",
            curve.steepest,
            10 * curve.highest,
            self._rates.body_learning_rate,
            self._rates.head_learning_rate,
        )

    def _restore(self, state: dict[str, Any], arrays: dict[str, Weights]) -> Weights:
        tally = Tally(**state["position"].pop("tally"))
        self._position = Position(**state["position"], tally=tally)
        self._clock = Clock(self._config.max_minutes, self._position.spent)
        self._snapshots = [
            Snapshot(arrays[f"snapshot{i}"], size) for i, size in enumerate(state["snapshot_sizes"])
        ]
        self._kept = arrays.get("kept")
        self._rates = self._config.optimiser.scaled(state["rates"])
        self._network.model.set_weights(arrays["weights"])
        for variable, value in zip(self._network.noise(), arrays.get("noise", []), strict=True):
            variable.assign(value)
        agreement.own_noise(self._workers, self._network)
        self._history.restore(state["epochs"])
        self._progress.line(
            self._part.name + "resumed in stage %d after epoch %d, step %d (%s of training)",
            self._position.stage + 1,
            self._position.epoch,
            self._position.step,
            duration(self._position.spent),
        )
        return arrays["optimiser"]

    def _save(self, optimiser: optimisation.Optimiser) -> None:
        if not self._workers.chief:
            return
        self._position.spent = self._clock.spent()
        arrays = {
            "weights": self._network.weights(),
            "noise": [np.array(v) for v in self._network.noise()],
            "optimiser": [np.array(v) for v in optimiser.state],
            "ema": [] if self._ema is None else [np.array(v) for v in self._ema.state],
            **{f"snapshot{i}": snapshot.weights for i, snapshot in enumerate(self._snapshots)},
        }
        if self._kept is not None:
            arrays["kept"] = self._kept
        state = {
            "position": asdict(self._position),
            "snapshot_sizes": [snapshot.size for snapshot in self._snapshots],
            "epochs": [
                row for row in self._history.rows() if row["stage"] in self._part.stages(self._config)
            ],
            "rates": self._rates.body_learning_rate / self._config.optimiser.body_learning_rate,
        }
        self._backup.save(state, arrays)

    def _stage(self, number: int, optimiser_state: Weights | None, averages: Weights | None) -> None:
        config, stage, position = self._config, self._config.stages[number], self._position
        if optimiser_state is None:
            self._position = position = Position(stage=number, spent=self._clock.spent())
            self._kept = None
            if stage.reset:
                self._network.model.set_weights(self._initial)
        networks.freeze(self._network, config, number)
        body, head = self._network.split_variables()
        optimiser = optimisation.Optimiser(self._rates, body, head)
        if optimiser_state is not None:
            for variable, value in zip(optimiser.state, optimiser_state, strict=True):
                variable.assign(value)
        batches = self._batches(stage)
        per_epoch = max(1, len(self._labels) // config.batch_size)
        plan = Plan(
            number,
            stage,
            per_epoch,
            max(1, round(stage.epochs * per_epoch)),
            self._clock.share(config.stages, number, position.stage_spent),
        )
        self._ema = Ema(optimiser.trained, config.optimiser.ema) if config.optimiser.ema else None
        if self._ema is not None:
            for variable, value in zip(self._ema.state, averages or [], strict=averages is not None):
                variable.assign(value)
        step = self._step(optimiser)
        iterator = iter(batches.dataset(number, *divmod(position.step, per_epoch)))
        while not position.over:
            self._epoch(plan, step, iterator, optimiser)
            self._save(optimiser)
        if self._kept is not None:
            self._network.model.set_weights(self._kept)
        if stage.snapshot:
            self._snapshots.append(Snapshot(self._network.weights(), stage.test_size or stage.size))

    def _batches(self, stage: StageConfig) -> Batches:
        config = self._config
        return Batches(
            at_size(self._train.pictures, cache_size(stage.size, config.image_size), self._progress),
            self._labels,
            len(self._classes),
            stage.size,
            config,
            metadata=self._metadata,
            told=self._told,
            soft=self._soft,
            workers=self._workers,
        )

    def _epoch(
        self, plan: Plan, step: Callable[..., Any], iterator: Any, optimiser: optimisation.Optimiser
    ) -> None:
        """Trains to the end of an epoch, evaluates, and decides whether the stage is over."""
        position, tally = self._position, self._position.tally
        last = min(plan.steps, (position.epoch + 1) * plan.per_epoch)
        saved = began = time.monotonic()
        factor = 0.0
        # One step at least, so that a budget already spent still leaves a trained network.
        while position.step < last and (plan.along(position) < 1.0 or position.step == 0):
            batch = next(iterator)
            arrived = time.monotonic()
            factor = plan.stage.rate * optimisation.rate(self._config.optimiser, plan.along(position))
            factor *= position.fallen
            tally.loss += float(step(batch, tf.constant(factor, tf.float32)))
            now = time.monotonic()
            tally.steps += 1
            tally.waited += arrived - began
            tally.seconds += now - began
            position.stage_spent += now - began
            position.step += 1
            began = now
            self._progress.tick(
                self._part.name + "stage %d, %d px, step %d of %d, loss %.3f, %.0f images/s",
                plan.number + 1,
                plan.stage.size,
                position.step,
                plan.steps,
                tally.loss / tally.steps,
                tally.steps * self._config.batch_size / tally.seconds,
            )
            if now - saved > _BACKUP_SECONDS:
                self._save(optimiser)
                saved = began = time.monotonic()
        self._evaluate(plan, factor)

    def _evaluate(self, plan: Plan, factor: float) -> None:
        """Scores on eval, keeps the weights, records and prints the epoch."""
        position, tally = self._position, self._position.tally
        started = time.monotonic()
        mean_loss = tally.loss / max(tally.steps, 1)
        if not math.isfinite(mean_loss):
            raise FloatingPointError(
                f"stage {plan.number + 1}: the loss is {mean_loss}; lower optimiser.body_learning_rate "
                f"(now {self._config.optimiser.body_learning_rate}) or optimiser.clip_norm"
            )
        agreement.average_statistics(self._workers, self._network)
        with nullcontext() if self._ema is None else self._ema.applied():
            found = self._scores(plan.stage)
            weights = self._network.weights()
        position.stage_spent += time.monotonic() - started
        position.epoch += 1
        better = found.auc > position.best
        if better:
            position.best, position.best_epoch = found.auc, position.epoch
        if better or self._config.keep == "last":
            self._kept = weights
        if self._config.optimiser.schedule == "plateau":
            shape = self._config.optimiser.shape
            plateau = Plateau(shape, position.fallen, position.fallen_best, position.fallen_waited)
            position.fallen = plateau.seen(found.auc)
            position.fallen_best, position.fallen_waited = plateau.best, plateau.waited
        epoch = Epoch(
            stage=self._part.stages(self._config)[plan.number],
            size=plan.stage.size,
            epoch=position.epoch,
            loss=mean_loss,
            eval_auc=found.auc,
            eval_log_loss=found.log_loss,
            false_negatives=found.false_negatives,
            positives=found.positives,
            learning_rate=factor,
            seconds=tally.seconds + time.monotonic() - started,
            waiting=tally.waited / max(tally.seconds, 1e-9),
            images_per_second=tally.steps * self._config.batch_size / max(tally.seconds, 1e-9),
        )
        position.tally = Tally()
        self._history.add(epoch)
        patience = self._config.patience
        stalled = patience > 0 and position.epoch - position.best_epoch >= patience
        position.over = stalled or plan.along(position) >= 1.0
        self._progress.line(
            self._part.name + "stage %d of %d  %d px  epoch %d of %d  loss %.3f  eval AUC %.4f  "
            "false negatives %d of %d  %.0f s  left %s",
            plan.number + 1,
            len(self._config.stages),
            plan.stage.size,
            position.epoch,
            math.ceil(plan.stage.epochs),
            mean_loss,
            found.auc,
            found.false_negatives,
            found.positives,
            epoch.seconds,
            duration(plan.left(self._config.stages[plan.number :], position)),
        )

    def _scores(self, stage: StageConfig) -> Scores:
        size = stage.test_size or stage.size
        classifier = Classifier((Member(self._network, size),), self._classes, 1)
        if size not in self._traced:
            self._traced[size] = trace(classifier, self._eval.pictures.shape[1])
        # Pictures alone, as most clients ask, whatever else the network may be told.
        found = predict(classifier, self._eval.pictures, traced=self._traced[size])
        shares = found.class_probabilities
        read = readout.fit(self._classes, self._eval.targets, shares, self._config.head.others)
        measured = scores(self._eval.targets, read(tf.constant(shares)).numpy())
        # The last bit may differ, and all must decide alike on the best epoch and on the end.
        (area,) = self._workers.mean([measured.auc])
        return replace(measured, auc=float(area))

    def _step(self, optimiser: optimisation.Optimiser) -> Callable[..., Any]:
        network, config, weights, ema = self._network, self._config, self._class_weights, self._ema
        workers = self._workers
        variables = [variable.value for variable in optimiser.trained]

        @tf.function
        def step(batch: Batch, factor: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                logits = network(batch.pixels, training=True, told=batch.told).logits
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
