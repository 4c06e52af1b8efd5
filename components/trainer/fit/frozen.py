"""The `frozen` strategy: features of an untouched backbone, cached on disk, and a head trained on them."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.data.records import Split
from components.trainer.export import readout
from components.trainer.export.scores import scores
from components.trainer.fit import optimisation
from components.trainer.fit.history import Epoch, History
from components.trainer.fit.schedules import Plateau
from components.trainer.model import network as networks
from components.trainer.model.classes import Classes
from components.trainer.model.classifier import Outputs, views
from components.trainer.model.network import Moments, Network
from components.trainer.progress import Progress
from components.transform import images

Floats = npt.NDArray[np.float32]

_BATCH = 32
_HEAD_BATCH = 256
_FEATURES_VERSION = 2


@dataclass(frozen=True)
class _Head:
    """A trained linear softmax head on standardised features, and how good it was."""

    kernel: Floats
    bias: Floats
    auc: float


def train(
    config: TrainerConfig,
    classes: Classes,
    moments: Moments,
    train: Split,
    evaluation: Split,
    labels: npt.NDArray[np.int32],
    weights: Floats,
    *,
    cache_dir: Path,
    history: History,
    progress: Progress,
) -> tuple[Network, dict[str, Outputs]]:
    """A network whose head is the best on eval over the configured penalties, and its answers.

    The answers, by split name, come from the cached features: the same as asking the network, in no time.
    """
    network = networks.build(
        config,
        size=config.frozen.size,
        classes=len(classes),
        moments=moments,
        taps=config.frozen.blocks,
        fast=False,
    )
    found = {
        split.name: _features(network, split, config, moments, cache_dir, progress)
        for split in (train, evaluation)
    }
    inputs = {name: features.pooled for name, features in found.items()}
    flat = inputs["train"].reshape(-1, inputs["train"].shape[-1])
    mean, std = flat.mean(axis=0), np.maximum(flat.std(axis=0), 1e-4)
    standard = {name: (values - mean) / std for name, values in inputs.items()}
    heads = [
        _fit(config, classes, standard, labels, weights, evaluation.targets, number, history, progress)
        for number in range(len(config.frozen.l2))
    ]
    best = max(heads, key=lambda head: head.auc)
    # Standardisation of the features is folded into the head: one dense layer is all that is served.
    kernel = best.kernel / std[:, None]
    bias = best.bias - mean @ kernel
    network.model.get_layer("head_logits").set_weights([kernel, bias])
    return network, {name: _outputs(values, kernel, bias) for name, values in found.items()}


def _outputs(features: _Features, kernel: Floats, bias: Floats) -> Outputs:
    logits = features.pooled.mean(axis=1) @ kernel + bias
    return Outputs(tf.nn.softmax(logits).numpy(), features.levels)


class _Features(NamedTuple):
    """Cached features: pooled float32 [n, flips, channels] and middle levels float32 [n, channels]."""

    pooled: Floats
    levels: Floats


def _features(
    network: Network,
    split: Split,
    config: TrainerConfig,
    moments: Moments,
    cache_dir: Path,
    progress: Progress,
) -> _Features:
    """Pooled features of every flip of every picture, levels of the picture as it is."""
    path = cache_dir / f"features-{split.name}-{_key(network, split, config, moments)}.npz"
    if path.exists():
        progress.line("%s: features of %d images from the cache", split.name, len(split))
        with np.load(path) as file:
            return _Features(file["pooled"], file["levels"])
    started = time.monotonic()
    side = split.pictures.shape[1]

    @tf.function(input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8)])
    def look(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shown = [
            network(pixels) for pixels in views(images.view(batch, config.frozen.size), config.frozen.flips)
        ]
        return tf.stack([seen.pooled for seen in shown], axis=1), shown[0].levels

    rows: list[tuple[Floats, Floats]] = []
    for start in range(0, len(split), _BATCH):
        pooled, levels = look(tf.constant(split.pictures[start : start + _BATCH]))
        rows.append((pooled.numpy(), levels.numpy()))
        done = start + len(levels)
        progress.tick(
            "%s: features of %d of %d images, %.0f images/s",
            split.name,
            done,
            len(split),
            done / (time.monotonic() - started),
        )
    found = _Features(*(np.concatenate(column) for column in zip(*rows, strict=True)))
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, pooled=found.pooled, levels=found.levels)
    part.replace(path)
    progress.line("%s: features of %d images in %.0f s", split.name, len(split), time.monotonic() - started)
    return found


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


def _fit(
    config: TrainerConfig,
    classes: Classes,
    inputs: dict[str, Floats],
    labels: npt.NDArray[np.int32],
    weights: Floats,
    eval_targets: npt.NDArray[np.int64],
    number: int,
    history: History,
    progress: Progress,
) -> _Head:
    """Trains the head at one L2 penalty; keeps its best epoch on eval."""
    l2 = config.frozen.l2[number]
    features = inputs["train"]
    count, flips, channels = features.shape
    kernel = tf.Variable(tf.zeros([channels, len(classes)]))
    bias = tf.Variable(tf.zeros([len(classes)]))
    first, second = ([tf.Variable(tf.zeros_like(v)) for v in (kernel, bias)] for _ in range(2))
    targets = np.eye(len(classes), dtype=np.float32)[labels]
    draw = np.random.default_rng([config.seed, number])
    shares = np.bincount(labels, minlength=len(classes))[labels] ** (
        config.loss.power if config.loss.sampling == "power" else 0.0
    )
    shares = shares / shares.sum()
    per_epoch = max(1, math.ceil(count / _HEAD_BATCH))
    steps = per_epoch * config.frozen.epochs
    class_weights = tf.constant(weights)

    @tf.function
    def step(rows: tf.Tensor, wanted: tf.Tensor, factor: tf.Tensor, time_step: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            dropped = tf.nn.dropout(rows, config.head.dropout, seed=config.seed)
            value = optimisation.loss(config.loss, dropped @ kernel + bias, wanted, class_weights)
            value += l2 * tf.nn.l2_loss(kernel)
        for variable, gradient, m, v in zip(
            (kernel, bias), tape.gradient(value, [kernel, bias]), first, second, strict=True
        ):
            m.assign(0.9 * m + 0.1 * gradient)
            v.assign(0.999 * v + 0.001 * tf.square(gradient))
            rate = config.optimiser.head_learning_rate * factor * tf.sqrt(1.0 - 0.999**time_step)
            variable.assign_sub(rate / (1.0 - 0.9**time_step) * m / (tf.sqrt(v) + 1e-7))
        return value

    plateau = Plateau(config.optimiser.shape) if config.optimiser.schedule == "plateau" else None
    best = _Head(kernel.numpy(), bias.numpy(), -math.inf)
    best_epoch = 0
    for epoch in range(1, config.frozen.epochs + 1):
        started = time.monotonic()
        losses = []
        for index in range(per_epoch):
            done = (epoch - 1) * per_epoch + index
            rows = draw.choice(count, min(_HEAD_BATCH, count), p=shares)
            chosen = features[rows, draw.integers(0, flips, len(rows))]
            factor = optimisation.rate(config.optimiser, done / steps) * (plateau.factor if plateau else 1.0)
            losses.append(float(step(chosen, targets[rows], tf.constant(factor), tf.constant(done + 1.0))))
        logits = inputs["eval"].mean(axis=1) @ kernel.numpy() + bias.numpy()
        probabilities = tf.nn.softmax(logits).numpy()
        read = readout.fit(classes, eval_targets, probabilities, config.head.others)
        found = scores(eval_targets, read(tf.constant(probabilities)).numpy())
        seconds = time.monotonic() - started
        if plateau:
            plateau.seen(found.auc)
        if found.auc > best.auc:
            best, best_epoch = _Head(kernel.numpy(), bias.numpy(), found.auc), epoch
        history.add(
            Epoch(
                stage=number,
                size=config.frozen.size,
                epoch=epoch,
                loss=float(np.mean(losses)),
                eval_auc=found.auc,
                eval_log_loss=found.log_loss,
                false_negatives=found.false_negatives,
                positives=found.positives,
                learning_rate=factor,
                seconds=seconds,
                waiting=0.0,
                images_per_second=per_epoch * _HEAD_BATCH / max(seconds, 1e-9),
            )
        )
        progress.line(
            "head %d of %d  L2 %g  epoch %d of %d  loss %.3f  eval AUC %.4f  "
            "false negatives %d of %d  %.1f s",
            number + 1,
            len(config.frozen.l2),
            l2,
            epoch,
            config.frozen.epochs,
            float(np.mean(losses)),
            found.auc,
            found.false_negatives,
            found.positives,
            seconds,
        )
        if config.patience and epoch - best_epoch >= config.patience:
            break
    return best
