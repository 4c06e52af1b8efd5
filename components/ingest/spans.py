"""A data set of some spans or some sources of another."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from components.ingest import accounts, dealt, manifest
from components.ingest.dealt import Dealt
from components.ingest.errors import IngestError
from components.ingest.folder import staged, take_over
from components.ingest.manifest import Manifest, Shard
from core import tfrecord
from core.features import SOURCE, SPLITS
from core.hashing import file_hash

_SHARD: Final = "data-00000-of-00001.tfrecord.gz"
_WANTED: Final = re.compile(r"^\d+(-\d+)?(,\d+(-\d+)?)*$")


def parse(text: str) -> frozenset[int]:
    """Read span numbers: `3`, `2-4`, or `1,3-5`.

    Raises:
        IngestError: the text is something else.
    """
    if not _WANTED.match(text):
        raise IngestError(f"{text!r}: write span numbers, as in 3, 2-4 or 1,3-5")
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def sources(folder: Path) -> tuple[str, ...]:
    """Return the values of the feature `source` in an ingested data set, sorted."""
    return tuple(sorted({one.source for one in dealt.load(folder) if one.span}))


def select(folder: Path, numbers: Collection[int], out: Path) -> Manifest:
    """Make a data set of some spans of the one in ``folder``; its files are linked, and it appears whole or not at all.

    Raises:
        IngestError: the data set lacks one of them, or cannot be read.
    """
    whole = Manifest.load(folder)
    there = {span.number for span in whole.spans}
    missing = sorted(set(numbers) - there)
    if missing or not numbers:
        known = ", ".join(map(str, sorted(there))) or "none, for it was ingested before there were any"
        raise IngestError(f"{folder} has no span {', '.join(map(str, missing))}; there are {known}")
    images = [one for one in dealt.load(folder) if one.span in numbers]
    prefixes = tuple(f"data-s{number:03d}-" for number in numbers)

    def linked(staging: Path) -> dict[str, list[Shard]]:
        take_over(folder, staging, prefixes)
        return {
            name: [shard for shard in split.shards if Path(shard.file).name.startswith(prefixes)]
            for name, split in whole.splits.items()
        }

    wanted = {
        "sources": tuple(one for one in whole.sources if one.span in numbers),
        "spans": tuple(span for span in whole.spans if span.number in numbers),
    }
    return _make(whole, images, linked, wanted, folder, out)


def select_sources(folder: Path, wanted: Collection[str], out: Path) -> Manifest:
    """Make a data set of the images of some sources of the one in ``folder``; each record stays in its split.

    ``wanted`` are values of the feature `source`. The new folder appears whole or not at all.

    Raises:
        IngestError: the data set cannot be read.
    """
    whole = Manifest.load(folder)
    images = [one for one in dealt.load(folder) if one.span and one.source in wanted]

    def written(staging: Path) -> dict[str, list[Shard]]:
        shards = {}
        for name in SPLITS:
            path = staging / name / _SHARD
            tfrecord.write(path, _records(folder / name, wanted))
            count = sum(one.split == name for one in images)
            size, digest = path.stat().st_size, file_hash(path)
            shards[name] = [Shard(file=f"{name}/{_SHARD}", records=count, bytes=size, sha256=digest)]
        return shards

    known = tuple(one for one in whole.sources if one.name in wanted)
    return _make(whole, images, written, {"sources": known}, folder, out)


def _make(
    whole: Manifest,
    images: Sequence[Dealt],
    bring: Callable[[Path], Mapping[str, Sequence[Shard]]],
    update: Mapping[str, Any],
    folder: Path,
    out: Path,
) -> Manifest:
    """Make a data set of some images of ``whole``, whose shards ``bring`` puts into the folder it is given."""
    with staged(out, force=False, sources=[folder]) as staging:
        for name in SPLITS:
            (staging / name).mkdir()
        shards = bring(staging)
        splits = {
            name: accounts.split_counts([one for one in images if one.split == name], shards[name])
            for name in SPLITS
        }
        dealt.save(images, staging)
        whole.model_copy(
            update={
                "data_version": manifest.data_version(one.digest for one in images),
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "counts": accounts.NOTHING.model_copy(
                    update={"rows_read": len(images), "written": len(images)}
                ),
                "splits": splits,
                "grown_from": tuple(dict.fromkeys((*whole.grown_from, whole.data_version))),
                "class_weights": splits["train"].class_weights,
                **update,
            }
        ).save(staging)
    return Manifest.load(out)


def _records(split: Path, wanted: Collection[str]) -> Iterator[bytes]:
    for file in sorted(split.glob("*.tfrecord.gz")):
        for record in tfrecord.read(file):
            if tfrecord.text(tfrecord.parse(record), SOURCE) in wanted:
                yield record
