"""Trains a U-Net on pairs in memory; used by the pipeline's Trainer and by the folds of the experiment."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.fit.backup import Backup
from components.trainer.fit.schedules import ScheduleConfig
from components.trainer.fit.schedules import rate as rate_of
from components.trainer.model.network import rng_variables
from components.trainer.progress import Progress
from studies.segmentation import augment, scores, unet
from studies.segmentation.config import SegmentationConfig
from studies.segmentation.pairs import Loaded
from studies.segmentation.segmenter import Segmenter, regions

THRESHOLDS: Final = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
_SEEDS_A_STEP: Final = 100
_SCHEDULE: Final = ScheduleConfig(kind="cosine", warmup=0.05, final=0.01)
_START: Final = 0.001  # of the training, as far as the first step has come: a rate of 0 would teach nothing
_CLIP: Final = 5.0

Row = dict[str, float]


@dataclass(frozen=True)
class Trained:
    """What training leaves: the model with its threshold, and a row an epoch."""

    segmenter: Segmenter
    history: list[Row]
    seconds: float


def train(
    config: SegmentationConfig,
    pairs: Loaded,
    evaluation: Loaded | None,
    *,
    progress: Progress,
    backup: Backup | None = None,
    listener: Callable[[list[Row]], None] | None = None,
) -> Trained:
    """Train from random weights.

    Args:
        config: network, augmentation and schedule.
        pairs: at the network's size.
        evaluation: chooses the best epoch and the threshold; without it the last epoch and 0.5 are taken.
        progress: gets a line an epoch.
        backup: where an interrupted training goes on from.
        listener: gets the history after each epoch.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    keras.utils.set_random_seed(config.seed)
    model = unet.build(config)
    optimiser = keras.optimizers.AdamW(
        config.learning_rate, weight_decay=config.weight_decay, clipnorm=None, global_clipnorm=_CLIP
    )
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimiser.build(model.trainable_variables)
    per_epoch = max(1, math.ceil(len(pairs) / config.batch_size))
    history: list[Row] = []
    best, best_score, epoch, spent = model.get_weights(), -1.0, 0, 0.0
    saved = backup.load() if backup else None
    if saved is not None:
        state, arrays = saved
        history, epoch, spent, best_score = (state["history"], state["epoch"], state["spent"], state["best"])
        model.set_weights(arrays["weights"])
        best = arrays["best"]
        for variable, value in zip(optimiser.variables, arrays["optimiser"], strict=True):
            variable.assign(value)
        for variable, value in zip(rng_variables(model), arrays["noise"], strict=True):
            variable.assign(value)
        progress.line("resumed after epoch %d", epoch)
    step = _step(config, model, optimiser)
    budget = None if config.max_minutes is None else config.max_minutes * 60
    along = _along(epoch, config, spent, budget)
    while along < 1.0:
        began, total = time.monotonic(), 0.0
        for number, (pictures, masks) in enumerate(_batches(config, pairs, epoch)):
            rate = config.learning_rate * rate_of(
                _SCHEDULE, max(_START, along + number / per_epoch / config.epochs)
            )
            seed = tf.constant([config.seed, (epoch * 100_003 + number) * _SEEDS_A_STEP], tf.int64)
            total += float(step(pictures, masks, seed, tf.constant(rate, tf.float32)))
            progress.tick(
                "epoch %d, step %d of %d, loss %.3f", epoch + 1, number + 1, per_epoch, total / (number + 1)
            )
        epoch += 1
        loss = total / per_epoch
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"epoch {epoch}: the loss is {loss}; lower learning_rate ({config.learning_rate})"
            )
        row = {"epoch": float(epoch), "loss": loss}
        if evaluation is not None:
            row["eval_jaccard"] = _quick(model, evaluation)
            if row["eval_jaccard"] > best_score:
                best, best_score = model.get_weights(), row["eval_jaccard"]
        spent += time.monotonic() - began
        row["seconds"] = time.monotonic() - began
        history.append(row)
        along = _along(epoch, config, spent, budget)
        progress.line(
            "epoch %d of %d  loss %.4f  eval Jaccard %.4f  %.1f s",
            epoch,
            config.epochs,
            loss,
            row.get("eval_jaccard", math.nan),
            row["seconds"],
        )
        if listener is not None:
            listener(history)
        if backup is not None:
            state = {"history": history, "epoch": epoch, "spent": spent, "best": best_score}
            arrays = {
                "weights": model.get_weights(),
                "best": best,
                "optimiser": [np.array(v) for v in optimiser.variables],
                "noise": [np.array(v) for v in rng_variables(model)],
            }
            backup.save(state, arrays)
    if evaluation is not None:
        model.set_weights(best)
    segmenter = Segmenter(config, model, 0.5, str(int(time.time())))
    if evaluation is not None:
        segmenter = Segmenter(config, model, fit_threshold(segmenter, evaluation), segmenter.version)
    return Trained(segmenter, history, spent)


def fit_threshold(segmenter: Segmenter, evaluation: Loaded) -> float:
    """Return the threshold with the highest mean Jaccard on eval, everything that serving does included."""
    maps, truth = segmenter.small_probabilities(evaluation.pictures), evaluation.masks > 127
    found = {value: mean_jaccard(regions(maps, value), truth) for value in THRESHOLDS}
    return max(found, key=lambda value: found[value])


def mean_jaccard(masks: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    """Return the mean Jaccard index of masks, each [n, h, w]."""
    return float(np.mean([scores.jaccard(one, other) for one, other in zip(masks, truth, strict=True)]))


def _along(epoch: int, config: SegmentationConfig, spent: float, budget: float | None) -> float:
    """Share of training that is over, by epochs or by time, whichever is further."""
    by_time = 0.0 if budget is None or not epoch else (spent + spent / epoch / 2) / budget
    return max(epoch / config.epochs, by_time)


def _batches(config: SegmentationConfig, pairs: Loaded, epoch: int) -> Iterator[tuple[Any, Any]]:
    order = np.random.default_rng([config.seed, epoch]).permutation(len(pairs))
    count = max(1, math.ceil(len(pairs) / config.batch_size))
    # Whole batches of one size: one traced step, and batch statistics that mean the same everywhere.
    order = np.resize(order, count * min(config.batch_size, len(pairs)))
    for rows in np.array_split(order, count):
        yield pairs.pictures[rows], pairs.masks[rows]


def _step(config: SegmentationConfig, model: keras.Model, optimiser: Any) -> Callable[..., tf.Tensor]:
    @tf.function(reduce_retracing=True)
    def step(pictures: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        pixels, lesion = augment.augment(pictures, masks, seed, config.augmentation)
        with tf.GradientTape() as tape:
            value = scores.loss(model(unet.prepare(pixels), training=True), lesion, config.dice)
        optimiser.learning_rate.assign(rate)
        optimiser.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
        return value

    return step


def _quick(model: keras.Model, evaluation: Loaded) -> float:
    """Mean Jaccard of one view at a threshold of one half, at the network's size."""
    rows = []
    for start in range(0, len(evaluation), 32):
        pixels = tf.cast(evaluation.pictures[start : start + 32], tf.float32)
        rows.append(model(unet.prepare(pixels), training=False).numpy() >= 0)
    return mean_jaccard(np.concatenate(rows), evaluation.masks > 127)
