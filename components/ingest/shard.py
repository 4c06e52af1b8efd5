"""Writes one TFRecord file."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import google_crc32c

from components import features
from components.ingest import picture
from components.ingest.example import Value, encode


@dataclass(frozen=True, slots=True)
class Record:
    """One image to be written.

    Attributes:
        file: path of the JPEG, as it is written.
        sha256: what its bytes must hash to.
        values: every feature but the image.
    """

    file: str
    sha256: str
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class ShardJob:
    """A TFRecord file to be written."""

    path: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A TFRecord file that was written."""

    path: str
    records: int
    bytes: int
    sha256: str


class ChangedError(Exception):
    """A file is not what it was when it was checked."""


def write(job: ShardJob) -> Written:
    """Write the records of ``job`` in their order; the same records give the same bytes.

    The stream is gzip, as ExampleGen expects from the name, but stored: JPEG does not shrink, and compressing it
    costs more than decoding it.

    Raises:
        ChangedError: an image changed after it was checked.
    """
    with (
        Path(job.path).open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=0, fileobj=raw, mtime=0) as file,
    ):
        for record in job.records:
            _append(cast(BinaryIO, file), encode({features.IMAGE: _bytes(record), **record.values}))
    content = Path(job.path).read_bytes()
    return Written(job.path, len(job.records), len(content), hashlib.sha256(content).hexdigest())


def _bytes(record: Record) -> bytes:
    try:
        data = picture.read(record.file, 1 << 40)
    except picture.RefusedError as error:
        raise ChangedError(f"{record.file} was there a moment ago: {error.detail}") from None
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise ChangedError(f"{record.file} changed while it was ingested: run the command again")
    return data


def _append(file: BinaryIO, record: bytes) -> None:
    """TFRecord framing: length, its masked CRC-32C, bytes, their masked CRC-32C; little-endian."""
    length = struct.pack("<Q", len(record))
    file.write(b"".join((length, _masked_crc(length), record, _masked_crc(record))))


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def batches(records: Sequence[Record], size: int) -> list[Sequence[Record]]:
    """Cut ``records`` into shards of nearly equal length, at most ``size`` each."""
    count = max(1, -(-len(records) // size))
    edges = [len(records) * index // count for index in range(count + 1)]
    return [records[start:end] for start, end in itertools.pairwise(edges)]
