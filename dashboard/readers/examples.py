"""Records of a data set: gzipped TFRecord files of tf.Example, read without TensorFlow.

TFRecord: little-endian uint64 length, 4 bytes checksum of it, the record, 4 bytes checksum of that
(tensorflow/core/lib/io/record_writer.h). Gzip has a checksum of its own, so these are not computed again.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from core.protos import example_pb2

SPLITS = ("train", "eval", "test")
MOST_BYTES = 64 << 20
# Feature names of components/features.py.
IMAGE, NAME, TARGET = "image", "image_name", "target"
COLUMNS = ("source", "sex", "anatom_site", "diagnosis")
AGE = "age_approx"


class DamagedDataError(Exception):
    """A file that is no whole TFRecord file of examples."""


@dataclass(frozen=True)
class Record:
    """One image with what is known of it."""

    split: str
    name: str
    image: bytes
    target: int
    columns: dict[str, str]  # source, sex, age_band, anatom_site, diagnosis; "unknown" where it is


def records(folder: Path, splits: tuple[str, ...] = SPLITS) -> Iterator[Record]:
    """Every record of some splits. Raises DamagedDataError."""
    for split in splits:
        for path in sorted((folder / split).glob("*.tfrecord.gz")):
            for raw in _raw(path):
                yield _record(split, raw, path)


def _raw(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as stream:
            while head := stream.read(12):
                length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else MOST_BYTES + 1
                if length > MOST_BYTES:
                    raise DamagedDataError(f"{path}: no TFRecord file")
                data = stream.read(length + 4)
                if len(data) != length + 4:
                    raise DamagedDataError(f"{path}: ends within a record")
                yield data[:length]
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedDataError(f"{path}: {error}") from None


def _record(split: str, raw: bytes, path: Path) -> Record:
    message = example_pb2.Example()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        raise DamagedDataError(f"{path}: holds something else than tf.Example") from None
    features = message.features.feature

    def text(name: str) -> str:
        values = features[name].bytes_list.value if name in features else ()
        return values[0].decode("utf-8", "replace") if values else "unknown"

    ages = features[AGE].float_list.value if AGE in features else ()
    targets = features[TARGET].int64_list.value if TARGET in features else ()
    images = features[IMAGE].bytes_list.value if IMAGE in features else ()
    columns = {name: text(name) for name in COLUMNS} | {"age_band": age_band(ages[0] if ages else None)}
    return Record(split, text(NAME), images[0] if images else b"", int(targets[0]) if targets else 0, columns)


def age_band(age: float | None) -> str:
    """The band an age lies in, as the Evaluator cuts them."""
    if age is None:
        return "unknown"
    for limit, band in ((30, "under 30"), (45, "30-44"), (60, "45-59"), (75, "60-74")):
        if age < limit:
            return band
    return "75 and over"
