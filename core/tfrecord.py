"""TFRecord files and tf.train.Example messages without TensorFlow, whose import takes longer than a small data set.

TFRecord framing: little-endian uint64 length, masked CRC-32C of it, the record, masked CRC-32C of that
(tensorflow/core/lib/io/record_writer.h). A file may be gzip as a whole.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import google_crc32c
from google.protobuf.message import DecodeError

from core.protos.example_pb2 import Example

Value = bytes | int | float
Values = list[bytes] | list[int] | list[float]

MAX_RECORD_BYTES: Final = 1 << 30  # a length beyond it is damage, not a record
_GZIP_MAGIC: Final = b"\x1f\x8b"


class DamagedRecordsError(ValueError):
    """A file is not a whole TFRecord file, or a record is not a tf.Example; the message names the file."""


def frame(record: bytes) -> bytes:
    """Return ``record`` with its length and checksums, as it stands in a TFRecord file."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _masked_crc(length), record, _masked_crc(record)))


def write(path: Path | str, records: Iterable[bytes], *, compressed: bool | None = None) -> None:
    """Write a TFRecord file of serialised messages; the same ones give the same bytes.

    A name that ends with ``.gz`` means gzip, unless ``compressed`` says otherwise: stored, for encoded images do not
    shrink.
    """
    with Path(path).open("wb") as raw:
        if str(path).endswith(".gz") if compressed is None else compressed:
            with gzip.GzipFile("", "wb", compresslevel=0, fileobj=raw, mtime=0) as file:
                file.writelines(map(frame, records))
        else:
            raw.writelines(map(frame, records))


def read(path: Path | str, *, max_bytes: int = MAX_RECORD_BYTES) -> Iterator[bytes]:
    """Yield the records of a TFRecord file, gzip or not (its first bytes tell), checksums verified.

    Raises:
        DamagedRecordsError: the file is cut off, a checksum differs, a record is longer than ``max_bytes``, or it is
            something else.
        OSError: the file cannot be opened.
    """
    with Path(path).open("rb") as raw:
        magic = raw.read(2)
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if magic == _GZIP_MAGIC else raw
        try:
            yield from _read_all(cast(BinaryIO, stream), str(path), max_bytes)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DamagedRecordsError(f"{path}: {error}") from None


def encode(features: Mapping[str, Value]) -> bytes:
    """Return the serialised Example of one value a feature: bytes, int64 or float32, by Python's type.

    Equal features give equal bytes.
    """
    example = Example()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.float_list.value.append(value)
    return example.SerializeToString(deterministic=True)


def parse(record: bytes) -> dict[str, Values]:
    """Return the features of a serialised Example, each a list of bytes, int or float.

    Raises:
        DamagedRecordsError: the bytes are not a tf.Example.
    """
    example = Example()
    try:
        example.ParseFromString(record)
    except DecodeError:
        raise DamagedRecordsError("a record is not a tf.Example") from None
    parsed: dict[str, Values] = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        parsed[name] = list(getattr(feature, kind).value) if kind else []
    return parsed


def examples(path: Path | str) -> Iterator[dict[str, Values]]:
    """Yield the parsed Examples of a TFRecord file.

    Raises:
        DamagedRecordsError: as ``read`` and ``parse``, with the file's name.
    """
    for record in read(path):
        try:
            yield parse(record)
        except DamagedRecordsError as error:
            raise DamagedRecordsError(f"{path}: {error}") from None


def first(values: Mapping[str, Values], name: str) -> Any:
    """Return the first value of a feature, None where the record has none."""
    found = values.get(name)
    return found[0] if found else None


def text(values: Mapping[str, Values], name: str, default: str = "") -> str:
    """Return the first value of a bytes feature as text, ``default`` where the record has none."""
    found = first(values, name)
    return found.decode("utf-8", "replace") if isinstance(found, bytes) and found else default


def _read_all(stream: BinaryIO, name: str, max_bytes: int) -> Iterator[bytes]:
    number = 0
    while head := stream.read(12):
        if len(head) < 12:
            raise DamagedRecordsError(f"{name}: ends within the header of record {number}")
        length = struct.unpack("<Q", head[:8])[0]
        if head[8:] != _masked_crc(head[:8]) or length > max_bytes:
            raise DamagedRecordsError(f"{name}: record {number} is damaged, or this is not a TFRecord file")
        data = stream.read(length + 4)
        if len(data) != length + 4:
            raise DamagedRecordsError(f"{name}: ends within record {number}")
        record, checksum = data[:length], data[length:]
        if checksum != _masked_crc(record):
            raise DamagedRecordsError(f"{name}: the checksum of record {number} differs")
        yield record
        number += 1


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
