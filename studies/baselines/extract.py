"""Figures of a whole split, computed once by worker processes and kept in a file."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from components.ingest.manifest import Manifest
from components.trainer.data.records import DataError, examples_dataset
from components.trainer.progress import Progress
from core import features
from studies.baselines import describe

_VERSION: Final = 1  # change it with what describe() answers
_CHUNK: Final = 32


@dataclass(frozen=True)
class Table:
    """One split as the classical systems see it.

    Attributes:
        values: float32 [n, figures].
        targets: int64 [n], 1 = positive.
        seconds: what computing the values took, over all images and workers.
    """

    values: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    seconds: float


def tables(data: Path, cache: Path, workers: int, progress: Progress) -> dict[str, Table]:
    """Return the three splits of an ingested data set; a second call reads what the first one kept.

    Raises:
        IngestError: no ingested data set is there.
        DataError: a split is empty.
    """
    version = Manifest.load(data).data_version
    return {name: _table(data, name, version, cache, workers, progress) for name in features.SPLITS}


def _table(data: Path, split: str, version: str, cache: Path, workers: int, progress: Progress) -> Table:
    path = cache / f"baselines-{split}-v{_VERSION}-{version[:16]}.npz"
    if path.exists():
        with np.load(path) as kept:
            return Table(kept["values"], kept["targets"], float(kept["seconds"]))
    files = sorted(str(file) for file in (data / split).glob("*.tfrecord.gz"))
    if not files:
        raise DataError(f"{split}: {data / split} holds no TFRecord file; ingest the data again")
    rows = examples_dataset(files).as_numpy_iterator()
    images: list[bytes] = []
    targets: list[int] = []
    for row in rows:
        images += list(row[features.IMAGE])
        targets += row[features.TARGET].tolist()
    if not images:
        raise DataError(f"{split}: its files hold no record; ingest the data again")
    started = time.monotonic()
    values = _described(images, workers, split, progress)
    seconds = time.monotonic() - started
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, values=values, targets=np.asarray(targets, np.int64), seconds=seconds)
    part.replace(path)
    progress.line("%s: figures of %d images in %.0f s", split, len(images), seconds)
    return Table(values, np.asarray(targets, np.int64), seconds)


def _described(
    images: Sequence[bytes], workers: int, split: str, progress: Progress
) -> npt.NDArray[np.float32]:
    if workers == 1:
        return _collected(map(describe.describe, images), len(images), split, progress)
    # Spawned, because TensorFlow's threads in this process would not survive a fork.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return _collected(
            pool.imap(describe.describe, images, chunksize=_CHUNK), len(images), split, progress
        )


def _collected(
    found: Iterable[npt.NDArray[np.float32]], count: int, split: str, progress: Progress
) -> npt.NDArray[np.float32]:
    rows: list[npt.NDArray[np.float32]] = []
    for row in found:
        rows.append(row)
        progress.tick("%s: figures of %d of %d images", split, len(rows), count)
    return np.stack(rows)
