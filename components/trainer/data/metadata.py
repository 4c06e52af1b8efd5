"""Age, sex and site as numbers beside the picture; every one of them may be missing, as on the device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.data.records import Columns

SEXES: Final = ("female", "male")
_CENTURY: Final = 100.0
_FEWEST: Final = 10  # images of a site before it has a number of its own


@dataclass(frozen=True)
class Metadata:
    """How metadata become a vector: age and whether it is known, one number a sex, one a site.

    What is missing, or was not seen in training, is zero in all its numbers, so that the vector of an image
    of which nothing is known is zero.
    """

    sites: tuple[str, ...]

    @property
    def width(self) -> int:
        """Numbers an image."""
        return 2 + len(SEXES) + len(self.sites)

    def __call__(self, ages: tf.Tensor, sexes: tf.Tensor, sites: tf.Tensor) -> tf.Tensor:
        """Vectors, float32 [batch, width], of ages in years (NaN = missing) and strings ("" = missing)."""
        known = tf.math.is_finite(ages)
        share = tf.where(known, tf.clip_by_value(ages, 0.0, 2 * _CENTURY) / _CENTURY, 0.0)
        age = tf.stack([share, tf.cast(known, tf.float32)], axis=1)
        return tf.concat([age, _one_hot(sexes, SEXES), _one_hot(sites, self.sites)], axis=1)

    def of(self, columns: Columns) -> npt.NDArray[np.float32]:
        """The vectors of a split."""
        return self(tf.constant(columns.ages), tf.constant(columns.sexes), tf.constant(columns.sites)).numpy()

    def hidden(self, vectors: tf.Tensor, seed: tf.Tensor, share: float) -> tf.Tensor:
        """Vectors of which each of age, sex and site, and all of them, are hidden with this probability."""
        batch = tf.shape(vectors)[0]
        drawn = tf.random.stateless_uniform([batch, 4], seed) >= share
        kept = tf.cast(tf.logical_and(drawn[:, :3], drawn[:, 3:]), tf.float32)
        return vectors * tf.repeat(kept, [2, len(SEXES), len(self.sites)], axis=1)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for the model's own description."""
        return {"sexes": list(SEXES), "sites": list(self.sites)}


def fit(columns: Columns) -> Metadata:
    """The sites of the training split that are not too rare."""
    counts = Counter(site.strip().lower() for site in columns.sites)
    return Metadata(tuple(sorted(site for site, count in counts.items() if site and count >= _FEWEST)))


def _one_hot(values: tf.Tensor, known: tuple[str, ...]) -> tf.Tensor:
    cleaned = tf.strings.lower(tf.strings.strip(values))
    return tf.cast(cleaned[:, None] == tf.constant(known, tf.string, [1, len(known)]), tf.float32)
