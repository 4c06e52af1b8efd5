"""A data set of some sources of another: its records are written again, each in the split it was dealt to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from components.ingest import dealt, spans
from components.ingest.folder import staged
from components.ingest.manifest import Manifest, Shard
from core import hashing, tfrecord
from core.features import SOURCE, SPLITS

_SHARD = "data-00000-of-00001.tfrecord.gz"


def sources(folder: Path) -> tuple[str, ...]:
    """Return the values of the feature `source` in an ingested data set, sorted."""
    return tuple(sorted({one.source for one in dealt.load(folder) if one.span}))


def select(folder: Path, wanted: Collection[str], out: Path) -> Manifest:
    """Make a data set of the images of some sources of the one in ``folder``.

    Args:
        folder: an ingested data set.
        wanted: values of the feature `source`.
        out: the new folder; it appears whole or not at all.

    Raises:
        IngestError: the data set cannot be read.
    """
    whole = Manifest.load(folder)
    images = [one for one in dealt.load(folder) if one.span and one.source in wanted]
    with staged(out, force=False, sources=[folder]) as staging:
        shards: dict[str, list[Shard]] = {}
        for name in SPLITS:
            (staging / name).mkdir()
            path = staging / name / _SHARD
            files = sorted((folder / name).glob("*.tfrecord.gz"))
            tfrecord.write(path, _records(files, wanted))
            shards[name] = [
                Shard(
                    file=f"{name}/{_SHARD}",
                    records=sum(one.split == name for one in images),
                    bytes=path.stat().st_size,
                    sha256=hashing.file_hash(path),
                )
            ]
        dealt.save(images, staging)
        result = spans.part(whole, images, shards)
        known = tuple(one for one in whole.sources if one.name in wanted)
        result.model_copy(update={"sources": known}).save(staging)
    return Manifest.load(out)


def _records(files: Collection[Path], wanted: Collection[str]) -> Iterator[bytes]:
    for file in files:
        for record in tfrecord.read(file):
            if tfrecord.text(tfrecord.parse(record), SOURCE) in wanted:
                yield record
