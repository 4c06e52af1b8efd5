"""One pass over the data set's records: counts by group and label, and the pictures the report shows."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from core.features import (
    AGE,
    AGE_BAND,
    DIAGNOSIS,
    IMAGE,
    IMAGE_NAME,
    SEX,
    SITE,
    SOURCE,
    TARGET,
    UNKNOWN,
    age_band,
)

GROUPS: Final = (SEX, AGE_BAND, SITE, DIAGNOSIS, SOURCE)
THUMBNAIL: Final = 176  # px: sharp on a dense display at half of it
QUALITY: Final = 78
# A report that reads a large archive for a quarter of an hour is worse than one without these tables.
SAMPLES: Final = {0: 5, 1: 3}  # training images of each label for the contact sheet
MOST_BYTES: Final = 3_000_000_000
BATCH: Final = 128

_SPEC = {
    IMAGE: tf.io.FixedLenFeature([], tf.string),
    IMAGE_NAME: tf.io.FixedLenFeature([], tf.string),
    TARGET: tf.io.FixedLenFeature([], tf.int64),
    AGE: tf.io.FixedLenFeature([], tf.float32, default_value=float("nan")),
    **{
        name: tf.io.FixedLenFeature([], tf.string, default_value=UNKNOWN)
        for name in (SEX, SITE, DIAGNOSIS, SOURCE)
    },
}


@dataclass
class Lesions:
    """What the records of a data set hold.

    Attributes:
        counts: images by (split, group, value of the group, target).
        pictures: JPEG thumbnails by image name.
        originals: the encoded images behind these thumbnails.
        samples: a few training images, encoded, melanomas among them.
        skipped: splits that were not read because the data set is too large.
    """

    counts: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)
    pictures: dict[str, bytes] = field(default_factory=dict)
    originals: dict[str, bytes] = field(default_factory=dict)
    samples: list[bytes] = field(default_factory=list)
    skipped: tuple[str, ...] = ()

    def values(self, group: str) -> list[str]:
        """Return the values of a group, the most frequent first, unknown last; age bands by age."""
        totals: Counter[str] = Counter()
        for (_, name, value, _), images in self.counts.items():
            if name == group:
                totals[value] += images
        if group == AGE_BAND:
            return sorted(totals, key=lambda value: (value == UNKNOWN, not value.startswith("under"), value))
        return sorted(totals, key=lambda value: (value == UNKNOWN, -totals[value], value))

    def labels(self, group: str, value: str, splits: Collection[str]) -> tuple[int, int]:
        """Return other lesions and melanomas of one value of a group."""
        negatives, positives = (
            sum(self.counts[(split, group, value, target)] for split in splits) for target in (0, 1)
        )
        return negatives, positives


def scan(files: Mapping[str, Sequence[Path]], wanted: Collection[str]) -> Lesions:
    """Read the records of all splits.

    Args:
        files: TFRecord files (gzip) by split.
        wanted: names of test images that are kept, and whose thumbnails are made.

    Raises:
        ValueError: a file holds no records, or records without an image or a label.
    """
    found = Lesions()
    total = sum(path.stat().st_size for paths in files.values() for path in paths)
    room = dict(SAMPLES)
    splits = ["test"] if total > MOST_BYTES else list(files)
    found.skipped = tuple(split for split in files if split not in splits)
    for split in splits:
        try:
            _read(found, split, files[split], frozenset(wanted) if split == "test" else frozenset(), room)
        except tf.errors.OpError as error:
            raise ValueError(f"split {split}: {error.message}") from None
    return found


def _read(
    found: Lesions, split: str, files: Sequence[Path], names: frozenset[str], room: dict[int, int]
) -> None:
    records = tf.data.TFRecordDataset([str(path) for path in files], compression_type="GZIP")
    parsed = records.batch(BATCH).map(_parse, num_parallel_calls=2).prefetch(2)
    for columns in parsed.as_numpy_iterator():
        _count(found, split, columns)
        if split == "train":
            _sample(found, columns, room)
        for index, raw in enumerate(columns[IMAGE_NAME]):
            name = raw.decode(errors="replace")
            if name in names and (picture := thumbnail(columns[IMAGE][index])):
                found.pictures[name] = picture
                found.originals[name] = columns[IMAGE][index]


def thumbnail(image: bytes, side: int = THUMBNAIL) -> bytes | None:
    """Return a JPEG of at most ``side`` px, without metadata; None where the bytes are no image."""
    try:
        with Image.open(io.BytesIO(image)) as picture:
            picture.draft("RGB", (2 * side, 2 * side))  # a large JPEG is decoded at a fraction of its size
            small = picture.convert("RGB")
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return out.getvalue()


def _parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    return tf.io.parse_example(serialized, _SPEC)


def _sample(found: Lesions, columns: dict[str, Any], room: dict[int, int]) -> None:
    """Take images while ``room`` lasts, by label."""
    for image, target in zip(columns[IMAGE], columns[TARGET], strict=True):
        if room[int(target)] > 0:
            room[int(target)] -= 1
            found.samples.append(image)


def _count(found: Lesions, split: str, columns: dict[str, Any]) -> None:
    targets = [int(value) for value in columns[TARGET]]
    for group in GROUPS:
        if group == AGE_BAND:
            values = [age_band(float(value)) for value in columns[AGE]]
        else:
            values = [value.decode(errors="replace") or UNKNOWN for value in columns[group]]
        found.counts.update(zip([split] * len(targets), [group] * len(targets), values, targets, strict=True))
