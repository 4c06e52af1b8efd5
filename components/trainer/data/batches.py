"""Training batches: drawn with a seed, augmented in parallel, always one ahead of the step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

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


@dataclass(frozen=True, eq=False)
class Batches:
    """Draws and augments the batches of one stage."""

    pictures: npt.NDArray[np.uint8]  # [n, s, s, 3]
    labels: npt.NDArray[np.int32]  # [n], class index
    classes: int
    size: int  # side of the batches' pictures, px
    config: TrainerConfig
    metadata: Metadata | None = None
    metadata_features: Floats | None = None  # [n, width]
    soft: Floats | None = None  # [n, classes]
    workers: Workers = ONE

    @cached_property
    def _sampling(self) -> npt.NDArray[np.float64] | None:
        """The probability of each image; None = every one once an epoch."""
        loss = self.config.loss
        if loss.sampling == "none" or not loss.power:
            return None
        counts = np.maximum(np.bincount(self.labels, minlength=self.classes), 1).astype(np.float64)
        weight = counts[self.labels] ** loss.power
        return np.asarray(weight / weight.sum())

    def order(self, stage: int, epoch: int) -> npt.NDArray[np.int64]:
        """Image numbers of one epoch, whole batches of them; the same for the same seed, stage and epoch."""
        draw = np.random.default_rng([self.config.seed, stage, epoch])
        count, size = len(self.labels), self.config.batch_size
        whole = max(1, count // size) * size
        if self._sampling is not None:
            return draw.choice(count, whole, p=self._sampling)
        return np.resize(draw.permutation(count), whole)

    def dataset(self, stage: int, first_epoch: int, first_step: int) -> tf.data.Dataset:
        """Endless batches, each a `Batch`, from a step onwards: this worker's share of them."""
        batch = self.config.batch_size
        rows = self.workers.rows(batch)
        # Workers draw the same order, but not the same changes.
        first_seed = self.config.seed + _WORKER_SEEDS * self.workers.number
        nothing = np.zeros([len(self.labels), 0], np.float32)
        columns: tuple[npt.NDArray[Any], ...] = (
            self.pictures,
            self.labels,
            nothing if self.metadata_features is None else self.metadata_features,
            nothing if self.soft is None else self.soft,
        )

        def numbers() -> Iterator[tuple[Any, ...]]:
            epoch, skipped = first_epoch, first_step
            while True:
                order = self.order(stage, epoch)
                for step in range(skipped, len(order) // batch):
                    chosen = self.workers.share(order[step * batch : (step + 1) * batch])
                    seed = ((epoch * 100_003 + step) * 31 + stage) * _SEEDS_PER_BATCH
                    yield ([first_seed, seed], *(column[chosen] for column in columns))
                epoch, skipped = epoch + 1, 0

        signature = (
            tf.TensorSpec([2], tf.int64),
            *(tf.TensorSpec([rows, *column.shape[1:]], column.dtype) for column in columns),
        )
        return (
            tf.data.Dataset.from_generator(numbers, output_signature=signature)
            .map(self._augmented, num_parallel_calls=2, deterministic=True)
            .prefetch(2)
        )

    def _augmented(
        self,
        seed: tf.Tensor,
        pictures: tf.Tensor,
        labels: tf.Tensor,
        metadata_features: tf.Tensor,
        soft: tf.Tensor,
    ) -> Batch:
        config = self.config.augmentation
        pixels = augment(pictures, seed, self.size, config)
        targets = tf.one_hot(labels, self.classes)
        if self.metadata is not None:
            metadata_features = self.metadata.hidden(
                metadata_features, seed + 998, self.config.head.metadata_dropout
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
