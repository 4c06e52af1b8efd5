"""Images a second into and through a training step, against the studies' ImageDataGenerator and stock Keras.

    TF_ENABLE_ONEDNN_OPTS=1 python benchmarks/training.py step [--size 128] [--rounds 25] [--threads 1]
    python benchmarks/training.py input IMAGES [--size 128] [--count 1024] [--seconds 20]

step: EfficientNet-Lite0, all layers, batches of 32, held to as many cores as threads: stock Keras (batch-norm trained);
batch-norm frozen but a layer, with fast gradients of 1x1 convolutions, as the step was before folding; both with Keras's AdamW; and the step
of the `full` preset. They take turns, one step each a round; printed are medians of processor time (one thread) or of the
clock's (several), and of the ratios within a round, and the losses, which must be the same for the last two.

input: the cached, graph-augmented pipeline against ImageDataGenerator reading and augmenting the JPEGs of a folder
(rotation, zoom, shift, flips), batches of 32, both without a network; the first batches of each are not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from components.trainer.config import TrainerConfig
from components.trainer.data.batches import Batches, cache_size
from components.trainer.fit import optimisation
from components.trainer.model import network as networks
from components.transform import images
from pipeline.config import load

_BATCH = 32
_WARM = 3
_TURN = 5.0  # seconds
_CLASSES = 7
STOCK, BEFORE, NOW = "stock Keras", "batch-norm frozen, fast 1x1 gradients", "the same, folded"


def _rates(contestants: list[Callable[[], Any]], seconds: float) -> list[float]:
    """Images a second of each; they take turns, so that what else runs on the machine falls on all of them."""
    for next_batch in contestants:
        for _ in range(_WARM):
            next_batch()
    counts, times = [0] * len(contestants), [0.0] * len(contestants)
    while min(times) < seconds:
        for number, next_batch in enumerate(contestants):
            started = time.perf_counter()
            # Long enough that the two batches prefetched during the others' turn do not count.
            while time.perf_counter() - started < _TURN:
                next_batch()
                counts[number] += _BATCH
            times[number] += time.perf_counter() - started
    return [count / spent for count, spent in zip(counts, times, strict=True)]


def _generator(files: list[Path], size: int) -> Iterator[Any]:
    folder = Path(tempfile.mkdtemp()) / "all"
    folder.mkdir()
    for file in files:
        (folder / file.name).symlink_to(file.resolve())
    return ImageDataGenerator(
        rescale=1 / 255,
        rotation_range=180,
        zoom_range=0.2,
        width_shift_range=0.08,
        height_shift_range=0.08,
        horizontal_flip=True,
        vertical_flip=True,
        fill_mode="reflect",
    ).flow_from_directory(
        str(folder.parent), target_size=(size, size), batch_size=_BATCH, class_mode="categorical"
    )


def _ours(files: list[Path], size: int, config: TrainerConfig) -> tuple[float, Iterator[Any]]:
    """Seconds the one decoding took, and the batches."""
    started = time.perf_counter()
    pictures = np.stack([images.decode(tf.io.read_file(str(file)), config.image_size) for file in files])
    side = cache_size(size, config.image_size)
    small = np.concatenate(
        [images.view_uint8(pictures[i : i + 128], side) for i in range(0, len(files), 128)]
    )
    spent = time.perf_counter() - started
    labels = (np.arange(len(files)) % _CLASSES).astype(np.int32)
    return spent, iter(Batches(small, labels, _CLASSES, size, config).dataset(0, 0, 0))


@tf.custom_gradient
def _pointwise(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """A 1x1 convolution with the gradients it had before: a forward convolution and one matrix product."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        dx = tf.nn.conv2d(upstream, tf.transpose(kernel, [0, 1, 3, 2]), 1, "SAME")
        channels, filters = kernel.shape[2:]
        dw = tf.matmul(tf.reshape(x, [-1, channels]), tf.reshape(upstream, [-1, filters]), transpose_a=True)
        return dx, tf.reshape(dw, kernel.shape)

    return tf.nn.conv2d(x, kernel, 1, "SAME"), gradient


def training_step(size: int, config: TrainerConfig, kind: str) -> Callable[[], Any]:
    """One step of all layers on pictures that are there already; returns the loss."""
    keras.utils.set_random_seed(1)
    moments = networks.Moments((0.0,) * 3, (1.0,) * 3)
    network = networks.build(
        config, size=None, classes=_CLASSES, moments=moments, weights="none", fast=kind == NOW
    )
    if kind == BEFORE:
        for layer in network.model.layers:
            if type(layer) is keras.layers.Conv2D and layer.kernel_size == layer.strides == (1, 1):
                layer.convolution_op = lambda inputs, kernel: _pointwise(inputs, tf.convert_to_tensor(kernel))
    networks.freeze(network, config, 0)
    with patch.object(optimisation, "AdamW", optimisation.AdamW if kind == NOW else keras.optimizers.AdamW):
        optimiser = optimisation.Optimiser(config.optimiser, *network.split_variables())
    variables = [variable.value for variable in optimiser.trained]
    pixels = tf.random.stateless_uniform([_BATCH, size, size, 3], [0, 1], 0, 255)
    labels = tf.one_hot(np.arange(_BATCH) % _CLASSES, _CLASSES)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            logits = network(pixels, training=True).logits
            value = optimisation.loss(config.loss, logits, labels, tf.ones([_CLASSES]))
        optimiser.apply(tape.gradient(value, variables), tf.constant(1e-2))
        return value

    return step


def compare_steps(size: int, rounds: int, threads: int) -> None:
    """Print time and losses of the steps: processor time of one thread, the clock's of several."""
    os.sched_setaffinity(0, range(threads))
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    full = load("full").trainer
    steps = {
        STOCK: training_step(size, full.model_copy(update={"batch_norm": "train"}), STOCK),
        BEFORE: training_step(size, full, BEFORE),
        NOW: training_step(size, full, NOW),
    }
    losses: dict[str, list[float]] = {kind: [float(step())] for kind, step in steps.items()}
    times: dict[str, list[float]] = {kind: [] for kind in steps}
    for _ in range(rounds):
        for kind, step in steps.items():
            started = clock()
            losses[kind].append(float(step()))
            times[kind].append(clock() - started)
    print(f"| step, {size} px, batches of {_BATCH}, {threads} thread(s) | ms | images/s | ratio | losses |")
    print("|---|---|---|---|---|")
    for kind, spent in times.items():
        ratio = statistics.median(a / b for a, b in zip(times[BEFORE], spent, strict=True))
        shown = ", ".join(f"{losses[kind][number]:.5f}" for number in (0, rounds // 2, rounds))
        median = statistics.median(spent)
        print(f"| {kind} | {median * 1e3:.0f} | {_BATCH / median:.0f} | {ratio:.2f} | {shown} |")


def compare_inputs(folder: Path, size: int, count: int, seconds: float) -> None:
    """Print images a second of both input pipelines."""
    files = sorted(folder.glob("*.jpg"))[:count]
    if len(files) < _BATCH:
        raise SystemExit(f"{folder} holds {len(files)} JPEGs; at least {_BATCH} are needed")
    generator = _generator(files, size)
    spent, batches = _ours(files, size, load("full").trainer)
    theirs, ours = _rates([lambda: next(generator), lambda: next(batches)], seconds)
    print(f"{f'input, {size} px':<42}{'images/s':>10}")
    print(f"{'ImageDataGenerator':<42}{theirs:>10.0f}")
    print(f"{'cached and augmented in the graph':<42}{ours:>10.0f}   x {ours / theirs:.1f}")
    print(f"{'  decoded once, ' + str(len(files)) + ' images':<42}{len(files) / spent:>10.0f}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    step = commands.add_parser("step")
    step.add_argument("--size", type=int, default=128)
    step.add_argument("--rounds", type=int, default=25)
    step.add_argument("--threads", type=int, default=1)
    given = commands.add_parser("input")
    given.add_argument("images", type=Path, help="folder of JPEGs")
    given.add_argument("--size", type=int, default=128)
    given.add_argument("--count", type=int, default=1024, help="how many of them")
    given.add_argument("--seconds", type=float, default=20.0, help="time for each measurement")
    arguments = parser.parse_args()
    if arguments.what == "step":
        compare_steps(arguments.size, arguments.rounds, arguments.threads)
    else:
        compare_inputs(arguments.images, arguments.size, arguments.count, arguments.seconds)


if __name__ == "__main__":
    main()
