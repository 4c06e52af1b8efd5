"""Figures of a whole split, computed once by worker processes and kept in a file."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from components.ingest.manifest import Manifest
from components.trainer.data.records import DataError, examples_dataset, matching
from components.trainer.progress import Progress
from core import features
from core.files import cached_arrays
from studies.baselines.figures import describe

_VERSION: Final = 1  # change it with what describe() answers
_CHUNK: Final = 32


@dataclass(frozen=True)
class Table:
    """One split as the classical systems see it."""

    values: npt.NDArray[np.float32]  # float32 [n, figures]
    targets: npt.NDArray[np.int64]  # int64 [n], 1 = positive
    seconds: float  # what computing the values took, over all images and workers


def kept(cache: Path, what: str, key: str, make: Callable[[str], Mapping[str, Any]]) -> dict[str, Table]:
    """Return the tables of the three splits, each made by its name and kept in a file of the cache."""
    found = {
        name: cached_arrays(cache / f"{what}-{name}-{key}.npz", partial(make, name))
        for name in features.SPLITS
    }
    return {name: Table(one["values"], one["targets"], float(one["seconds"])) for name, one in found.items()}


def tables(data: Path, cache: Path, workers: int, progress: Progress) -> dict[str, Table]:
    """Return the three splits of an ingested data set; a second call reads what the first one kept.

    Raises:
        IngestError: no ingested data set is there.
        DataError: a split is empty.
    """

    def made(split: str) -> dict[str, object]:
        images: list[bytes] = []
        targets: list[int] = []
        for row in examples_dataset(matching([str(data / split / "*.tfrecord.gz")])).as_numpy_iterator():
            images += list(row[features.IMAGE])
            targets += row[features.TARGET].tolist()
        if not images:
            raise DataError(f"{split}: {data / split} holds no record; ingest the data again")
        started = time.monotonic()
        values = _described(images, workers, split, progress)
        seconds = time.monotonic() - started
        progress.line("%s: figures of %d images in %.0f s", split, len(images), seconds)
        return {"values": values, "targets": np.asarray(targets, np.int64), "seconds": seconds}

    return kept(cache, "baselines", f"v{_VERSION}-{Manifest.load(data).data_version[:16]}", made)


def _described(
    images: Sequence[bytes], workers: int, split: str, progress: Progress
) -> npt.NDArray[np.float32]:
    rows: list[npt.NDArray[np.float32]] = []
    # Spawned, because TensorFlow's threads in this process would not survive a fork.
    with nullcontext() if workers == 1 else multiprocessing.get_context("spawn").Pool(workers) as pool:
        found = pool.imap(describe, images, chunksize=_CHUNK) if pool else map(describe, images)
        for row in found:
            rows.append(row)
            progress.tick("%s: figures of %d of %d images", split, len(rows), len(images))
    return np.stack(rows)
