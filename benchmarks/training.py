"""Images a second into and through a training step, against the studies' ImageDataGenerator and stock Keras.

    python benchmarks/training.py IMAGES [--size 128] [--count 1024] [--seconds 20]

IMAGES is a folder of JPEGs. Input: the cached, graph-augmented pipeline against ImageDataGenerator reading
and augmenting the same files (rotation, zoom, shift, flips), batches of 32, both without a network. Step:
EfficientNet-Lite0, all layers, stock (batch-norm trained) against the `full` preset's (batch-norm frozen, fast
gradients of 1x1 convolutions). Prints a table; the first batches of each are not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


def training_step(size: int, config: TrainerConfig, fast: bool) -> Callable[[], Any]:
    """One step of all layers on pictures that are there already; returns the loss."""
    moments = networks.Moments((0.0,) * 3, (1.0,) * 3)
    network = networks.build(config, size=None, classes=_CLASSES, moments=moments, weights="none", fast=fast)
    networks.freeze(network, config, 0)
    optimiser = optimisation.Optimiser(config.optimiser, *network.split_variables())
    variables = [variable.value for variable in optimiser.trained]
    pixels = tf.random.stateless_uniform([_BATCH, size, size, 3], [0, 1], 0, 255)
    labels = tf.one_hot(np.arange(_BATCH) % _CLASSES, _CLASSES)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = network(pixels, training=True).logits
            value = optimisation.loss(config.loss, logits, labels, tf.ones([_CLASSES]))
        optimiser.apply(tape.gradient(value, variables), tf.constant(1e-3))
        return value

    return step  # type: ignore[no-any-return]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="folder of JPEGs")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--count", type=int, default=1024, help="how many of them")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each measurement")
    arguments = parser.parse_args()
    files = sorted(arguments.images.glob("*.jpg"))[: arguments.count]
    if len(files) < _BATCH:
        parser.error(f"{arguments.images} holds {len(files)} JPEGs; at least {_BATCH} are needed")
    size, seconds = arguments.size, arguments.seconds
    full = load("full").trainer
    generator = _generator(files, size)
    spent, batches = _ours(files, size, full)
    theirs, ours = _rates([lambda: next(generator), lambda: next(batches)], seconds)
    print(f"{'input, 128 px' if size == 128 else f'input, {size} px':<42}{'images/s':>10}")
    print(f"{'ImageDataGenerator':<42}{theirs:>10.0f}")
    print(f"{'cached and augmented in the graph':<42}{ours:>10.0f}   x {ours / theirs:.1f}")
    print(f"{'  decoded once, ' + str(len(files)) + ' images':<42}{len(files) / spent:>10.0f}")
    trained_norm = full.model_copy(update={"batch_norm": "train"})
    contestants = [training_step(size, trained_norm, fast=False), training_step(size, full, fast=True)]
    stock, quick = _rates(contestants, seconds)
    print(f"{'step, stock':<42}{stock:>10.0f}")
    print(f"{'step, batch-norm frozen, fast 1x1':<42}{quick:>10.0f}   x {quick / stock:.1f}")


if __name__ == "__main__":
    main()
