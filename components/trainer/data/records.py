"""A split's records: labels in memory, decoded pictures in a file that is memory-mapped."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.progress import Progress
from components.transform import images
from components.transform.preprocessing import dense
from core import features, spreadsheet
from core.files import replacing, write_atomic

_LOG = logging.getLogger(__name__)

# Change it whenever decode() changes its answer: cached pictures would otherwise be those of the old one.
_DECODER_VERSION: Final = 1
_BATCH: Final = 64

_SPEC: Final[Mapping[str, Any]] = {
    features.IMAGE: tf.io.FixedLenFeature([], tf.string),
    features.IMAGE_NAME: tf.io.FixedLenFeature([], tf.string),
    features.TARGET: tf.io.FixedLenFeature([], tf.int64),
    features.DIAGNOSIS: tf.io.VarLenFeature(tf.string),
}
_STRINGS: Final = (features.SEX, features.SITE, features.GROUP_ID)
_COLUMNS_SPEC: Final[Mapping[str, Any]] = {
    features.AGE: tf.io.VarLenFeature(tf.float32),
    **{name: tf.io.VarLenFeature(tf.string) for name in _STRINGS},
}
_MISSING: Final = {tf.string: b"", tf.int64: 0, tf.float32: float("nan")}


class DataError(ValueError):
    """The data cannot be trained on; the message says why and what to do."""


@dataclass(frozen=True)
class Split:
    """One split of n images."""

    name: str  # train or eval
    pictures: npt.NDArray[np.uint8]  # [n, size, size, 3], memory-mapped
    names: tuple[str, ...]  # image_name
    targets: npt.NDArray[np.int64]  # [n], 1 = positive
    diagnoses: tuple[str, ...]  # "" where unknown
    fingerprint: str  # SHA-256 of the files' contents

    def __len__(self) -> int:
        return len(self.names)

    def only(self, rows: npt.NDArray[np.int64]) -> Split:
        """Some of its images, their pictures in memory."""
        return replace(
            self,
            pictures=self.pictures[rows],
            names=tuple(self.names[row] for row in rows),
            targets=self.targets[rows],
            diagnoses=tuple(self.diagnoses[row] for row in rows),
        )


def matching(patterns: Sequence[str]) -> list[str]:
    """The files that match any of the patterns, sorted: the order every reader of a split goes by."""
    return sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))


def spread(count: int, wanted: int) -> npt.NDArray[np.int64]:
    """At most `wanted` row numbers, evenly spread over `count` rows."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))


def read_split(
    name: str, patterns: Sequence[str], *, size: int, cache_dir: Path, progress: Progress
) -> Split:
    """Decodes a split once; a second call with the same files and size reads the cache.

    Raises:
        DataError: no file matches, the split is empty, or it has only one kind of label.
    """
    files = matching(patterns)
    if not files:
        raise DataError(f"{name}: no TFRecord file matches {list(patterns)}; does the split folder exist?")
    fingerprint = _fingerprint(files)
    stem = cache_dir / f"pictures-{name}-{size}-v{_DECODER_VERSION}-{fingerprint[:16]}"
    if not stem.with_suffix(".json").exists():
        _write(name, files, stem, size, progress)
    columns = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    targets = np.asarray(columns["targets"], np.int64)
    if len(set(targets.tolist())) < 2:
        raise DataError(
            f"{name}: all {len(targets)} images have the label {sorted(set(targets.tolist()))}; "
            "training needs positives and negatives in both splits"
        )
    pictures = np.memmap(
        stem.with_suffix(".u8"), dtype=np.uint8, mode="r", shape=(len(targets), size, size, 3)
    )
    return Split(name, pictures, tuple(columns["names"]), targets, tuple(columns["diagnoses"]), fingerprint)


def write_predictions(path: Path, split: Split, probabilities: npt.NDArray[np.floating]) -> None:
    """Write the answers to a split's images as CSV: image_name, target, probability."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([features.IMAGE_NAME, features.TARGET, features.PROBABILITY])
        for name, target, p in zip(split.names, split.targets, probabilities, strict=True):
            writer.writerow([spreadsheet.cell(name), int(target), repr(float(p))])


def examples_dataset(files: Sequence[str], spec: Mapping[str, Any] = _SPEC) -> tf.data.Dataset:
    """Parsed records of TFRecord.gz files, in file order, in batches of dense columns."""
    dataset = tf.data.TFRecordDataset(list(files), compression_type="GZIP").batch(_BATCH)

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, dict(spec))
        return {name: dense(column, _MISSING[column.dtype]) for name, column in parsed.items()}

    return dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def _write(name: str, files: Sequence[str], stem: Path, size: int, progress: Progress) -> None:
    started = time.monotonic()
    rows = examples_dataset(files).map(
        lambda row: {**row, features.IMAGE: images.decode_batch(row[features.IMAGE], size)},
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    names: list[str] = []
    diagnoses: list[str] = []
    targets: list[int] = []
    with replacing(stem.with_suffix(".u8"), cache=True) as out:
        for row in rows.prefetch(2).as_numpy_iterator():
            out.write(np.ascontiguousarray(row[features.IMAGE]).tobytes())
            names += [value.decode() for value in row[features.IMAGE_NAME]]
            diagnoses += [value.decode() for value in row[features.DIAGNOSIS]]
            targets += row[features.TARGET].tolist()
            progress.tick("decoding %s: %d images", name, len(names))
        if not names:
            raise DataError(f"{name}: {len(files)} TFRecord file(s) hold no record")
    # Last: its presence says that the pictures are complete.
    write_atomic(
        stem.with_suffix(".json"), json.dumps({"names": names, "targets": targets, "diagnoses": diagnoses})
    )
    took = time.monotonic() - started
    progress.line(f"{name}: decoded {len(names)} images to {size} px in {took:.0f} s")


def _fingerprint(files: Sequence[str]) -> str:
    """SHA-256 of the contents: TFX gives equal data a new path in every run."""
    digest = hashlib.sha256()
    for path in files:
        with tf.io.gfile.GFile(path, "rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class Columns:
    """One value an image, in the order of `read_split`; a string is "" where it is unknown."""

    ages: npt.NDArray[np.float32]  # [n], years; NaN where unknown
    sexes: tuple[str, ...]
    sites: tuple[str, ...]
    groups: tuple[str, ...]  # images of one group (patient or lesion) belong on one side of a split


def read_columns(patterns: Sequence[str]) -> Columns:
    """Reads the TFRecord.gz files that match, without decoding a picture."""
    ages: list[npt.NDArray[np.float32]] = []
    strings: dict[str, list[str]] = {name: [] for name in _STRINGS}
    for row in examples_dataset(matching(patterns), _COLUMNS_SPEC).as_numpy_iterator():
        ages.append(row[features.AGE])
        for name in _STRINGS:
            strings[name] += [value.decode() for value in row[name]]
    return Columns(np.concatenate(ages), *(tuple(strings[name]) for name in _STRINGS))
