"""Writes one TFRecord file."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.ingest import picture
from core import features, tfrecord
from core.hashing import file_hash
from core.images.decode import ImageRefusedError
from core.tfrecord import Value

_TIME_ZERO: Final = 1_000_000_000  # September 2001; seven digits of a hash add up to 8.5 years


@dataclass(frozen=True, slots=True)
class Record:
    """One image to be written."""

    file: str  # path of the JPEG, as it is written
    sha256: str  # what its bytes must hash to
    values: dict[str, Value]  # every feature but the image


@dataclass(frozen=True, slots=True)
class ShardJob:
    """A TFRecord file to be written."""

    path: str
    records: tuple[Record, ...]

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True, slots=True)
class Written:
    """What a TFRecord file came to be."""

    bytes: int
    sha256: str


class ChangedError(Exception):
    """A file is not what it was when it was checked."""


def write(job: ShardJob) -> Written:
    """Write the records of ``job`` in their order; the same records give the same bytes.

    Raises:
        ChangedError: an image changed after it was checked.
    """
    tfrecord.write(
        job.path,
        (tfrecord.encode({features.IMAGE: _bytes(record), **record.values}) for record in job.records),
    )
    path = Path(job.path)
    sha256 = file_hash(path)
    # ExampleGen tells files apart by size and time alone: equal files have equal times, others do not.
    seconds = _TIME_ZERO + int(sha256[:7], 16)
    os.utime(path, (seconds, seconds))
    return Written(path.stat().st_size, sha256)


def _bytes(record: Record) -> bytes:
    try:
        data = picture.read(record.file, 1 << 40)
    except ImageRefusedError as error:
        raise ChangedError(f"{record.file} was there a moment ago: {error.detail}") from None
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise ChangedError(f"{record.file} changed while it was ingested: run the command again")
    return data


def batches(records: Sequence[Record], size: int) -> list[Sequence[Record]]:
    """Cut ``records`` into shards of nearly equal length, at most ``size`` each."""
    count = max(1, -(-len(records) // size))
    edges = [len(records) * index // count for index in range(count + 1)]
    return [records[start:end] for start, end in itertools.pairwise(edges)]
