"""What a split's records say besides picture and label: read only where a setting needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.data.records import matching
from components.transform.preprocessing import dense
from core import features

_BATCH: Final = 256
_STRINGS: Final = (features.SEX, features.SITE, features.GROUP_ID)
_SPEC: Final[dict[str, Any]] = {
    features.AGE: tf.io.VarLenFeature(tf.float32),
    **{name: tf.io.VarLenFeature(tf.string) for name in _STRINGS},
}


@dataclass(frozen=True)
class Columns:
    """One value an image, in the order of `records.read_split`.

    Attributes:
        ages: float32 [n], years; NaN where unknown.
        sexes: n strings, "" where unknown.
        sites: n strings, "" where unknown.
        groups: n strings: images of one group (patient or lesion) belong on one side of a split.
    """

    ages: npt.NDArray[np.float32]
    sexes: tuple[str, ...]
    sites: tuple[str, ...]
    groups: tuple[str, ...]


def read_columns(patterns: Sequence[str]) -> Columns:
    """Reads the TFRecord.gz files that match, without decoding a picture."""
    dataset = tf.data.TFRecordDataset(matching(patterns), compression_type="GZIP").batch(_BATCH)

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, _SPEC)
        return {
            key: dense(column, float("nan") if key == features.AGE else b"") for key, column in parsed.items()
        }

    ages: list[npt.NDArray[np.float32]] = []
    strings: dict[str, list[str]] = {name: [] for name in _STRINGS}
    for row in dataset.map(parse).as_numpy_iterator():
        ages.append(row[features.AGE])
        for name in _STRINGS:
            strings[name] += [value.decode() for value in row[name]]
    return Columns(np.concatenate(ages), *(tuple(strings[name]) for name in _STRINGS))
