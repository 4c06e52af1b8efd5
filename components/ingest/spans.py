"""A data set of some spans of another: its files are linked, its manifest counts what they hold."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from components.ingest import accounts, dealt, manifest
from components.ingest.dealt import Dealt
from components.ingest.errors import IngestError
from components.ingest.folder import staged, take_over
from components.ingest.manifest import Manifest, Shard
from core.features import SPLITS

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


def select(folder: Path, numbers: Collection[int], out: Path) -> Manifest:
    """Make a data set of some spans of the one in ``folder``.

    Args:
        folder: an ingested data set.
        numbers: of the spans that are wanted.
        out: the new folder; it appears whole or not at all.

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
    splits = {
        name: [shard for shard in whole.splits[name].shards if Path(shard.file).name.startswith(prefixes)]
        for name in SPLITS
    }
    result = part(whole, images, splits).model_copy(
        update={
            "sources": tuple(one for one in whole.sources if one.span in numbers),
            "spans": tuple(span for span in whole.spans if span.number in numbers),
        }
    )
    with staged(out, force=False, sources=[folder]) as staging:
        take_over(folder, staging, prefixes)
        for name in SPLITS:
            (staging / name).mkdir(exist_ok=True)
        dealt.save(images, staging)
        result.save(staging)
    return Manifest.load(out)


def part(whole: Manifest, images: Sequence[Dealt], shards: Mapping[str, Sequence[Shard]]) -> Manifest:
    """Return the manifest of some images of a data set, which lie in ``shards`` by split."""
    splits = {
        name: accounts.split_counts([one for one in images if one.split == name], shards[name])
        for name in SPLITS
    }
    return whole.model_copy(
        update={
            "data_version": manifest.data_version(one.digest for one in images),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "counts": accounts.NOTHING.model_copy(update={"rows_read": len(images), "written": len(images)}),
            "splits": splits,
            "grown_from": tuple(dict.fromkeys((*whole.grown_from, whole.data_version))),
            "class_weights": splits["train"].class_weights,
        }
    )
