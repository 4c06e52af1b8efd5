"""The `frozen` strategy: features of an untouched backbone, cached on disk, and a head trained on them."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.data.records import Split
from components.trainer.export import readout
from components.trainer.fit import optimisation
from components.trainer.fit.callbacks import EarlyStopping, EpochLog, KeepWeights, ReduceOnPlateau
from components.trainer.fit.history import Scores, scores
from components.trainer.fit.loop import Callback, Loop, StagePlan, TrainState, Weights
from components.trainer.fit.task import Task, TrainContext
from components.trainer.model import network as networks
from components.trainer.model.classifier import BATCH, Outputs, constant_graph, in_batches, views
from components.trainer.model.network import Moments, Network
from components.trainer.progress import speed
from components.transform import images
from core.files import cached_arrays

Floats = npt.NDArray[np.float32]

_HEAD_BATCH = 256
_FEATURES_VERSION = 3


def train(config: TrainerConfig, task: Task, context: TrainContext) -> tuple[Network, dict[str, Outputs]]:
    """Train a network's head, the best on eval over the configured penalties.

    Returns:
        The network, and its answers by split name. They come from the cached features: the same as asking the
        network, in no time.
    """
    with context.progress.phase("features"):
        network = networks.build(
            config,
            size=config.frozen.size,
            classes=len(task.classes),
            moments=task.moments,
            taps=config.frozen.blocks,
            fast=False,
        )
        found = {
            split.name: _features(network, split, config, task.moments, context)
            for split in (task.train, task.evaluation)
        }
    inputs = {name: features.pooled for name, features in found.items()}
    flat = inputs["train"].reshape(-1, inputs["train"].shape[-1])
    mean, std = flat.mean(axis=0), np.maximum(flat.std(axis=0), 1e-4)
    standard = {name: (values - mean) / std for name, values in inputs.items()}
    with context.progress.phase("training"):
        heads = [_fit(config, task, standard, number, context) for number in range(len(config.frozen.l2))]
    _, (kernel, bias) = max(heads, key=itemgetter(0))
    # Standardisation of the features is folded into the head: one dense layer is all that is served.
    kernel = kernel / std[:, None]
    bias = bias - mean @ kernel
    network.model.get_layer("head_logits").set_weights([kernel, bias])
    return network, {
        name: Outputs(tf.nn.softmax(values.pooled.mean(axis=1) @ kernel + bias).numpy(), values.levels)
        for name, values in found.items()
    }


class _Features(NamedTuple):
    """Cached features: pooled float32 [n, flips, channels] and middle levels float32 [n, channels]."""

    pooled: Floats
    levels: Floats


def _features(
    network: Network, split: Split, config: TrainerConfig, moments: Moments, context: TrainContext
) -> _Features:
    """Pooled features of every flip of every picture, levels of the picture as it is."""
    progress, flips, started = context.progress, config.frozen.flips, time.monotonic()
    path = context.cache_dir / f"features-{split.name}-{_key(network, split, config, moments)}.npz"
    if path.exists():
        progress.line("%s: features of %d images from the cache", split.name, len(split))

    def tick(done: int) -> None:
        shown = speed(done / max(time.monotonic() - started, 1e-9))
        progress.tick("%s: features of %d of %d images, %s", split.name, done, len(split), shown)

    def made() -> dict[str, Floats]:
        folded, side = network.folded(), split.pictures.shape[1]

        def extract(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = folded(tf.concat(views(images.view(batch, config.frozen.size), flips), axis=0))
            return tf.stack(tf.split(outputs.pooled, flips), axis=1), tf.split(outputs.levels, flips)[0]

        graph = constant_graph(extract, tf.TensorSpec([None, side, side, 3], tf.uint8))
        pooled, levels = in_batches(graph, [split.pictures], max(1, BATCH // flips), tick)
        took = time.monotonic() - started
        progress.line("%s: features of %d images in %.0f s", split.name, len(split), took)
        return {"pooled": pooled, "levels": levels}

    return _Features(**cached_arrays(path, made))


def _key(network: Network, split: Split, config: TrainerConfig, moments: Moments) -> str:
    """The cache's key: weights, preprocessing and data."""
    digest = hashlib.sha256()
    for layer in network.model.layers:
        if not layer.name.startswith("head_logits"):
            for value in layer.get_weights():
                digest.update(np.ascontiguousarray(value).tobytes())
    about = [
        _FEATURES_VERSION,
        split.fingerprint,
        split.pictures.shape,
        config.frozen.size,
        config.frozen.flips,
        config.frozen.blocks,
        network.backbone.name,
        moments.mean,
        moments.std,
    ]
    digest.update(json.dumps(about).encode())
    return digest.hexdigest()[:24]


class _HeadLearner:
    """One linear softmax head on standardised features, as the loop sees it."""

    def __init__(
        self, config: TrainerConfig, task: Task, train: Floats, evaluation: Floats, l2: float
    ) -> None:
        """Begin with zeros; `train` and `evaluation` are float32 [n, flips, channels]."""
        self._config = config
        self._task = task
        self._train = train
        self._evaluation = evaluation
        layer = keras.layers.Dense(len(task.classes), kernel_initializer="zeros", dtype="float32")
        layer.build(train.shape[::2])
        self._layer = layer
        rule = keras.optimizers.Adam()
        rule.build(layer.trainable_variables)
        class_weights = tf.constant(task.class_weights)

        @tf.function(autograph=False)
        def step(rows: tf.Tensor, wanted: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                dropped = tf.nn.dropout(rows, config.head.dropout, seed=config.seed)
                value = optimisation.loss(config.loss, layer(dropped), wanted, class_weights)
                value += l2 * tf.nn.l2_loss(layer.kernel.value)
            rule.learning_rate.assign(rate)
            rule.apply(tape.gradient(value, layer.trainable_variables), layer.trainable_variables)
            return value

        self._step = step

    def step(self, batch: tuple[Floats, Floats], factor: float) -> float:
        """Take one step at `factor` times the head's learning rate; return the loss before it."""
        rate = self._config.optimiser.head_learning_rate * factor
        return float(self._step(*batch, tf.constant(rate, tf.float32)))

    def weights(self) -> Weights:
        """Return kernel and bias."""
        return [np.array(value) for value in self._layer.get_weights()]

    def evaluate(self) -> Scores:
        """Return the figures on eval, logits averaged over flips."""
        kernel, bias = self.weights()
        evaluation, classes = self._task.evaluation, self._task.classes
        found = tf.nn.softmax(self._evaluation.mean(axis=1) @ kernel + bias).numpy()
        read = readout.fit(classes, evaluation.targets, found, self._config.head.others)
        return scores(evaluation.targets, read(tf.constant(found)).numpy())

    def batches(self, draw: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
        """Draw endless batches: features float32 [batch, channels] of one flip each, one-hot classes."""
        labels, loss = self._task.labels, self._config.loss
        targets = np.eye(len(self._task.classes), dtype=np.float32)[labels]
        count, flips, _ = self._train.shape
        weight = np.bincount(labels, minlength=len(self._task.classes))[labels] ** (
            loss.power if loss.sampling == "power" else 0.0
        )
        weight = weight / weight.sum()
        while True:
            rows = draw.choice(count, min(_HEAD_BATCH, count), p=weight)
            yield self._train[rows, draw.integers(0, flips, len(rows))], targets[rows]


def _fit(
    config: TrainerConfig,
    task: Task,
    inputs: dict[str, Floats],
    number: int,
    context: TrainContext,
) -> tuple[float, Weights]:
    """Train the head at one L2 penalty; return the best AUC on eval, and the kernel and bias that had it."""
    penalties, epochs = config.frozen.l2, config.frozen.epochs
    learner = _HeadLearner(config, task, inputs["train"], inputs["eval"], penalties[number])
    per_epoch = max(1, math.ceil(len(task.labels) / _HEAD_BATCH))
    plan = StagePlan(
        name=f"head {number + 1} of {len(penalties)}  L2 {penalties[number]:g}",
        number=number,
        size=config.frozen.size,
        epochs=epochs,
        per_epoch=per_epoch,
        steps=per_epoch * epochs,
        costs=(1.0,) * (len(penalties) - number),
    )
    kept = KeepWeights("best")
    log = EpochLog(context.history, context.progress)
    callbacks: list[Callback] = [kept, EarlyStopping(config.patience), log]
    if config.optimiser.schedule == "plateau":
        callbacks.insert(1, ReduceOnPlateau(config.optimiser))
    state = TrainState(stage=number)
    loop = Loop(learner, config.optimiser, _HEAD_BATCH, callbacks, context.progress, sees_images=False)
    loop.run(state, plan, learner.batches(np.random.default_rng([config.seed, number])))
    return state.best, kept.weights or learner.weights()
