"""Training batches: drawn with a seed, augmented in parallel, always one ahead of the step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.data.augmentation import augment
from components.trainer.data.metadata import Metadata
from components.trainer.fit.distribution import ONE, Workers
from components.trainer.progress import Progress
from components.transform import images

Floats = npt.NDArray[np.float32]

# 25 % more pixels than the network sees: zooming in to 0.72 of the side still shows real detail.
_MARGIN = 1.25
_SEEDS_PER_BATCH = 1000
_CHUNK = 128  # pictures resized at once
_WORKER_SEEDS = 1_000_003  # far from the seeds of folds, which count up from the configured one


def cache_size(size: int, image_size: int) -> int:
    """Side at which a stage keeps its pictures: one size up, in steps of 8 px, at most the decoded size."""
    return min(image_size, max(size, int(size * _MARGIN) // 8 * 8))


def at_size(pictures: npt.NDArray[np.uint8], side: int, progress: Progress) -> npt.NDArray[np.uint8]:
    """All pictures at a stage's cache size, in memory."""
    if pictures.shape[1] == side:
        return pictures
    small = np.empty((len(pictures), side, side, 3), np.uint8)
    for start in range(0, len(pictures), _CHUNK):
        batch = tf.constant(pictures[start : start + _CHUNK])
        small[start : start + _CHUNK] = images.view_uint8(batch, side).numpy()
        progress.tick("resizing to %d px: %d of %d images", side, start, len(pictures))
    return small


class Batch(NamedTuple):
    """What a step learns from, float32."""

    pixels: tf.Tensor  # [batch, size, size, 3], 0..255
    targets: tf.Tensor  # [batch, classes], rows that sum to 1
    metadata_features: tf.Tensor  # [batch, width]; width 0 without metadata
    soft: tf.Tensor  # [batch, classes], a teacher's answers; width 0 without one


class Batches:
    """Draws and augments the batches of one stage."""

    def __init__(
        self,
        pictures: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int32],
        classes: int,
        size: int,
        config: TrainerConfig,
        *,
        metadata: Metadata | None = None,
        metadata_features: Floats | None = None,
        soft: Floats | None = None,
        workers: Workers = ONE,
    ) -> None:
        nothing = np.zeros([len(labels), 0], np.float32)
        self._metadata = metadata
        self._metadata_features = nothing if metadata_features is None else metadata_features
        self._soft = nothing if soft is None else soft
        self._pictures = pictures
        self._labels = labels
        self._classes = classes
        self._size = size
        self._config = config
        self._workers = workers
        counts = np.maximum(np.bincount(labels, minlength=classes), 1).astype(np.float64)
        power = config.loss.power if config.loss.sampling == "power" else 0.0
        weight = counts[labels] ** power
        self._sampling = weight / weight.sum() if power else None

    def order(self, stage: int, epoch: int) -> npt.NDArray[np.int64]:
        """Image numbers of one epoch, whole batches of them; the same for the same seed, stage and epoch."""
        draw = np.random.default_rng([self._config.seed, stage, epoch])
        count = len(self._labels)
        size = self._config.batch_size
        whole = max(1, count // size) * size
        if self._sampling is not None:
            return draw.choice(count, whole, p=self._sampling)
        return np.resize(draw.permutation(count), whole)

    def dataset(self, stage: int, first_epoch: int, first_step: int) -> tf.data.Dataset:
        """Endless batches, each a `Batch`, from a step onwards: this worker's share of them."""
        batch = self._config.batch_size
        rows = self._workers.rows(batch)
        # Workers draw the same order, but not the same changes.
        first_seed = self._config.seed + _WORKER_SEEDS * self._workers.number

        def numbers() -> Iterator[
            tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], list[int], Floats, Floats]
        ]:
            epoch, skipped = first_epoch, first_step
            while True:
                order = self.order(stage, epoch)
                for step in range(skipped, len(order) // batch):
                    chosen = self._workers.share(order[step * batch : (step + 1) * batch])
                    seed = ((epoch * 100_003 + step) * 31 + stage) * _SEEDS_PER_BATCH
                    yield (
                        self._pictures[chosen],
                        self._labels[chosen],
                        [first_seed, seed],
                        self._metadata_features[chosen],
                        self._soft[chosen],
                    )
                epoch, skipped = epoch + 1, 0

        side = self._pictures.shape[1]
        signature = (
            tf.TensorSpec([rows, side, side, 3], tf.uint8),
            tf.TensorSpec([rows], tf.int32),
            tf.TensorSpec([2], tf.int64),
            tf.TensorSpec([rows, self._metadata_features.shape[1]], tf.float32),
            tf.TensorSpec([rows, self._soft.shape[1]], tf.float32),
        )
        return (
            tf.data.Dataset.from_generator(numbers, output_signature=signature)
            .map(self._augmented, num_parallel_calls=2, deterministic=True)
            .prefetch(2)
        )

    def _augmented(
        self,
        pictures: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        metadata_features: tf.Tensor,
        soft: tf.Tensor,
    ) -> Batch:
        config = self._config.augmentation
        pixels = augment(pictures, seed, self._size, config)
        targets = tf.one_hot(labels, self._classes)
        if self._metadata is not None:
            metadata_features = self._metadata.hidden(
                metadata_features, seed + 998, self._config.head.metadata_dropout
            )
        if config.mixup:
            # Beta(a, a) from two gammas; one share for the batch, mixed with itself in reverse.
            gammas = tf.random.stateless_gamma([2], seed + 999, config.mixup)
            share = gammas[0] / tf.reduce_sum(gammas)
            pixels, targets, metadata_features, soft = (
                share * values + (1.0 - share) * values[::-1]
                for values in (pixels, targets, metadata_features, soft)
            )
        return Batch(pixels, targets, metadata_features, soft)
