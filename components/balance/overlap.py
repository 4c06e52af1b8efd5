"""Finds patients, lesions and images that lie on two sides of a split: a Beam transform."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
from pydantic import Field

from core import tfrecord
from core.features import GROUP_ID, IMAGE
from core.records.verdict import Check, at_most
from core.settings import Frozen

EXAMPLES_NAMED = 5


class Overlap(Frozen):
    """What lies in more than one split."""

    groups: int = Field(ge=0, description="patients or lesions in more than one split")
    images: int = Field(ge=0, description="identical images in more than one split")
    named: tuple[str, ...] = Field(description="a few of them, to look up")

    def checks(self) -> Iterable[Check]:
        """Yield one check for groups and one for images; both must be none."""
        detail = f"for example {', '.join(self.named)}; ingest the data again" if self.named else ""
        yield at_most("groups_in_two_splits", self.groups, 0, detail=detail)
        yield at_most("images_in_two_splits", self.images, 0, detail=detail)


def read(pipeline: beam.Pipeline, patterns: Mapping[str, str]) -> dict[str, beam.PCollection]:
    """Return the records of each split, from file patterns."""
    return {
        split: pipeline | f"Read {split}" >> beam.io.ReadFromTFRecord(pattern)
        for split, pattern in patterns.items()
    }


def find(records: Mapping[str, beam.PCollection]) -> beam.PCollection:
    """Return the sentences "group X in eval, train" of all overlaps, from records by split."""
    seen = tuple(
        split_records | f"Keys of {split}" >> beam.FlatMap(_keys_of, split)
        for split, split_records in records.items()
    )
    return (
        seen
        | "All splits" >> beam.Flatten()
        | "Splits of each key" >> beam.CombinePerKey(beam.combiners.ToSetCombineFn())
        | "In two" >> beam.Filter(_in_two)
        | "Named" >> beam.Map(_named)
    )


def summarise(sentences: Iterable[str]) -> Overlap:
    """Count what :func:`find` found."""
    ordered = sorted(sentences)
    return Overlap(
        groups=sum(text.startswith("group ") for text in ordered),
        images=sum(text.startswith("image ") for text in ordered),
        named=tuple(ordered[:EXAMPLES_NAMED]),
    )


def _keys_of(record: bytes, split: str) -> Iterator[tuple[str, str]]:
    """Yield what must stay in one split: the group's id and the image's SHA-256."""
    values = tfrecord.parse(record)
    yield f"group {tfrecord.text(values, GROUP_ID)}", split
    yield f"image {hashlib.sha256(tfrecord.first(values, IMAGE)).hexdigest()[:16]}", split


def _in_two(item: tuple[str, set[str]]) -> bool:
    return len(item[1]) > 1


def _named(item: tuple[str, set[str]]) -> str:
    return f"{item[0]} in {', '.join(sorted(item[1]))}"
