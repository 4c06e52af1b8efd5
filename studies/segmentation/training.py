"""Trains a U-Net on pairs in memory, for the pipeline Trainer and for the folds of the experiment."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.data.records import matching
from components.trainer.fit.backup import Backup, assign
from components.trainer.fit.callbacks import BackupWriter, EpochLog, KeepWeights
from components.trainer.fit.history import History, Scores
from components.trainer.fit.loop import Loop, StagePlan, TrainState, Weights
from components.trainer.fit.optimisation import Optimiser
from components.trainer.model.network import rng_variables
from components.trainer.progress import Progress
from components.trainer.settings import OptimiserConfig
from studies.segmentation import augment, measured, pairs, segmenter, unet
from studies.segmentation.config import SegmentationConfig
from studies.segmentation.pairs import Loaded
from studies.segmentation.segmenter import Segmenter, regions

THRESHOLDS: Final = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
_SEEDS_A_STEP: Final = 100


@dataclass(frozen=True)
class Trained:
    """What training leaves: the model with its threshold, and the seconds it took."""

    segmenter: Segmenter
    seconds: float


class _MaskLearner:
    """A U-Net as the loop sees it: compiled steps, and the mean Jaccard on eval."""

    def __init__(
        self, config: SegmentationConfig, model: keras.Model, optimiser: Optimiser, evaluation: Loaded
    ) -> None:
        self._model = model
        self._evaluation = evaluation

        @tf.function(reduce_retracing=True)
        def step(pictures: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
            pixels, lesion = augment.augment(pictures, masks, seed, config.augmentation)
            with tf.GradientTape() as tape:
                value = measured.loss(model(unet.prepare(pixels), training=True), lesion, config.dice)
            optimiser.apply(tape.gradient(value, model.trainable_variables), factor)
            return value

        self._step = step

    def step(self, batch: tuple[Any, Any, Any], factor: float) -> float:
        """Take one step at `factor` times the peak learning rate; return the loss before it."""
        return float(self._step(*batch, tf.constant(factor, tf.float32)))

    def weights(self) -> Weights:
        """Return a copy of every weight."""
        return [np.array(value) for value in self._model.get_weights()]

    def evaluate(self) -> Scores:
        """Return the mean Jaccard of one view at a threshold of one half, at the network's size."""

        def answer(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
            pixels = unet.prepare(tf.cast(pictures, tf.float32))
            return np.asarray(self._model(pixels, training=False).numpy() >= 0)

        masks = segmenter.in_chunks(answer, self._evaluation.pictures)
        found = mean_jaccard(masks, self._evaluation.masks > 127)
        return Scores(found, {"eval_jaccard": found}, f"eval Jaccard {found:.4f}")


def train(
    config: SegmentationConfig,
    pairs: Loaded,
    evaluation: Loaded,
    *,
    progress: Progress,
    backup: Backup | None = None,
    history: History | None = None,
) -> Trained:
    """Train from random weights, through the product's own loop; an interrupted training goes on from the backup.

    Pairs have the network's size; `evaluation` chooses the best epoch and the threshold.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    keras.utils.set_random_seed(config.seed)
    model = unet.build(config)
    rates = OptimiserConfig(body_learning_rate=config.learning_rate, weight_decay=config.weight_decay)
    optimiser = Optimiser(rates, model.trainable_variables, [])
    history = history or History(Path(), kept=False)
    per_epoch = max(1, math.ceil(len(pairs) / config.batch_size))
    state, kept = TrainState(), KeepWeights("best")
    if backup is not None and (saved := backup.load()) is not None:
        content, arrays = saved
        state, kept = TrainState.of(content["state"]), KeepWeights("best", arrays.get("kept"))
        model.set_weights(arrays["weights"])
        assign(optimiser.state, arrays["optimiser"])
        assign(rng_variables(model), arrays.get("rng"))
        history.restore(content["epochs"])
        progress.line("resumed after epoch %d", state.epoch)

    def save() -> None:
        if backup is not None:
            arrays = {
                "weights": model.get_weights(),
                "optimiser": [np.array(v) for v in optimiser.state],
                "rng": [np.array(v) for v in rng_variables(model)],
                "kept": kept.weights or [],
            }
            backup.save({"state": asdict(state), "epochs": history.rows()}, arrays)

    plan = StagePlan(
        name="U-Net",
        number=0,
        size=config.width,
        epochs=config.epochs,
        per_epoch=per_epoch,
        steps=config.epochs * per_epoch,
        budget=config.max_minutes and config.max_minutes * 60,
    )
    callbacks = [kept, EpochLog(history, progress), BackupWriter(save)]
    learner = _MaskLearner(config, model, optimiser, evaluation)
    try:
        loop = Loop(learner, rates, config.batch_size, callbacks, progress)
        loop.run(state, plan, _batches(config, pairs, *divmod(state.step, per_epoch)))
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}; here it is learning_rate ({config.learning_rate})") from None
    model.set_weights(kept.weights or model.get_weights())
    segmenter = Segmenter(config, model, 0.5, str(int(time.time())))
    return Trained(replace(segmenter, threshold=fit_threshold(segmenter, evaluation)), state.stage_spent)


def fit_threshold(segmenter: Segmenter, evaluation: Loaded) -> float:
    """Return the threshold with the highest mean Jaccard on eval, everything that serving does included."""
    maps, truth = segmenter.small_probabilities(evaluation.pictures), evaluation.masks > 127
    found = {value: mean_jaccard(regions(maps, value), truth) for value in THRESHOLDS}
    return max(found, key=lambda value: found[value])


def mean_jaccard(masks: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    """Return the mean Jaccard index of masks, each [n, h, w]."""
    return float(np.mean([measured.jaccard(one, other) for one, other in zip(masks, truth, strict=True)]))


def _batches(
    config: SegmentationConfig, pairs: Loaded, epoch: int, skipped: int
) -> Iterator[tuple[Any, Any, Any]]:
    """Endless batches from a step of an epoch onwards: pictures, masks, and the seed of their random changes."""
    count = max(1, math.ceil(len(pairs) / config.batch_size))
    while True:
        order = np.random.default_rng([config.seed, epoch]).permutation(len(pairs))
        # Whole batches of one size: one traced step, and batch statistics that mean the same everywhere.
        order = np.resize(order, count * min(config.batch_size, len(pairs)))
        for number, rows in enumerate(np.array_split(order, count)):
            if number >= skipped:
                seed = tf.constant([config.seed, (epoch * 100_003 + number) * _SEEDS_A_STEP], tf.int64)
                yield pairs.pictures[rows], pairs.masks[rows], seed
        epoch, skipped = epoch + 1, 0


def run_fn(fn_args: Any) -> None:
    """Train and export by `fn_args.custom_config["segmentation"]`.

    Writes the SavedModel to `fn_args.serving_model_dir` and history.json to `fn_args.model_run_dir`.

    Raises:
        pydantic.ValidationError: an unknown or impossible setting.
        ValueError: a split holds no pair.
    """
    config = SegmentationConfig.model_validate(fn_args.custom_config["segmentation"])
    progress = Progress()
    train_files, eval_files = (matching(patterns) for patterns in (fn_args.train_files, fn_args.eval_files))
    training = pairs.load(train_files, config.height, config.width)
    evaluation = pairs.load(eval_files, config.height, config.width)
    what = f"U-Net of {config.depth} levels at {config.width} x {config.height} px"
    progress.line("%s on %d pairs, eval %d", what, len(training), len(evaluation))
    run_dir = Path(fn_args.model_run_dir)
    cache = Path(fn_args.custom_config.get("cache_dir") or run_dir / "cache")
    data_version = str(fn_args.custom_config.get("data_version", ""))
    key = hashlib.sha256(f"{config.model_dump_json()} {data_version}".encode()).hexdigest()[:24]
    backup = Backup(cache / f"unet-{key}.npz")
    trained = train(config, training, evaluation, progress=progress, backup=backup, history=History(run_dir))
    model = trained.segmenter
    masks = model.small_masks(evaluation.pictures)
    score = mean_jaccard(masks, evaluation.masks > 127)
    facts = {
        "data_version": data_version,
        "training_seconds": round(trained.seconds, 1),
        "metrics": {"eval_jaccard": score, "train_pairs": len(training), "eval_pairs": len(evaluation)},
    }
    segmenter.write(model, Path(fn_args.serving_model_dir), facts=facts)
    backup.clear()
    about = f"eval Jaccard {score:.4f} at {model.threshold:.2f}, {trained.seconds:.0f} s"
    progress.line("model %s: %s", model.version, about)
