"""Out of distribution: how far a picture's features lie from those of the training pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Floats = npt.NDArray[np.float32]

_COMPONENTS = 64
_GRID = 4  # colours of a 4 x 4 grid of the picture stand beside the network's features


@dataclass(frozen=True)
class OutOfDistributionDetector:
    """A Gaussian fitted to training features, and the distance from which a picture is refused."""

    mean: Floats  # [channels]
    whiten: Floats  # [channels, components]; centred features, times this, have unit variance on train
    basis: Floats  # [channels, components], orthonormal
    scale: Floats  # [channels], deviation on train
    residual: float  # mean squared length, on train, of what the components leave out
    limit: float  # largest distance of a picture that is answered without a warning

    def distance(self, described: tf.Tensor) -> tf.Tensor:
        """Distance (float32 [batch], about 1 for a training picture) of described pictures."""
        centred = (described - tf.constant(self.mean)) / tf.constant(self.scale)
        inside = tf.reduce_mean(tf.square(centred @ tf.constant(self.whiten)), axis=-1)
        along = centred @ tf.constant(self.basis)
        left = tf.reduce_sum(tf.square(centred), axis=-1) - tf.reduce_sum(tf.square(along), axis=-1)
        return 0.5 * inside + 0.5 * left / self.residual

    def __call__(self, described: tf.Tensor) -> tf.Tensor:
        """Return 1.0 for pictures that are not dermoscopy, else 0.0: float32 [batch]."""
        return tf.cast(self.distance(described) > self.limit, tf.float32)


def describe(pictures: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    """What the detector looks at: network features and a coarse colour grid (float32 [batch, channels])."""
    pixels = tf.cast(pictures, tf.float32) / 255.0
    side = int(pictures.shape[1])
    if side % _GRID:
        grid = tf.image.resize(pixels, [_GRID, _GRID], method="area")
        spread = tf.math.reduce_std(pixels, axis=[1, 2])
    else:
        # The same means in two steps, rows first: sums along long rows cost a tenth of sums of three channels.
        grid = _cell_means(pixels)
        mean = tf.reduce_mean(grid, axis=[1, 2])
        square = tf.reduce_mean(_cell_means(tf.square(pixels)), axis=[1, 2])
        spread = tf.sqrt(tf.maximum(square - tf.square(mean), 0.0))
    return tf.concat([features, tf.reshape(grid, [-1, _GRID * _GRID * 3]), spread], axis=-1)


def described(pictures: npt.NDArray[np.uint8], features: Floats) -> Floats:
    """Return `describe` of many pictures, in batches."""
    rows = [
        describe(tf.constant(pictures[i : i + 256]), tf.constant(features[i : i + 256])).numpy()
        for i in range(0, len(pictures), 256)
    ]
    return np.concatenate(rows)


def _cell_means(pixels: tf.Tensor) -> tf.Tensor:
    """Return the mean of each cell of the grid, float32 [batch, grid, grid, 3], of [batch, side, side, 3]."""
    side = int(pixels.shape[1])
    rows = tf.reduce_mean(tf.reshape(pixels, [-1, _GRID, side // _GRID, side * 3]), axis=2)
    return tf.reduce_mean(tf.reshape(rows, [-1, _GRID, _GRID, side // _GRID, 3]), axis=3)


def fit(train: Floats, evaluation: Floats, refused: float, margin: float) -> OutOfDistributionDetector:
    """Fits the Gaussian on train; the limit is `margin` times what leaves `refused` of eval above it.

    A margin above 1 leaves room for other cameras: pictures that are no dermoscopy lie much farther out.
    """
    mean = train.mean(axis=0)
    scale = np.maximum(train.std(axis=0), 1e-3)
    centred = (train - mean) / scale
    count = max(1, min(_COMPONENTS, centred.shape[1] - 1, len(centred) // 4))
    values, vectors = np.linalg.eigh(np.cov(centred, rowvar=False))
    basis = vectors[:, ::-1][:, :count].astype(np.float32)
    variance = np.maximum(values[::-1][:count], 1e-4)
    left = np.sum(centred**2, axis=1) - np.sum((centred @ basis) ** 2, axis=1)
    detector = OutOfDistributionDetector(
        mean.astype(np.float32),
        (basis / np.sqrt(variance)).astype(np.float32),
        basis,
        scale.astype(np.float32),
        float(max(left.mean(), 1e-6)),
        np.inf,
    )
    distances = detector.distance(tf.constant(evaluation)).numpy()
    limit = margin * float(np.quantile(distances, 1.0 - refused))
    return replace(detector, limit=limit)
