"""What the class balance step finds in the records themselves: Beam transforms, and what becomes of their lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import apache_beam as beam
from pydantic import Field

from core import features, tfrecord
from core.records.verdict import Check, at_most
from core.settings import Frozen

EXAMPLES_NAMED: Final = 5
GROUPS: Final = (features.SEX, features.AGE_BAND, features.SITE, features.DIAGNOSIS, features.SOURCE)

# By split, group and value: [other lesions, melanomas].
Counts = dict[str, dict[str, dict[str, list[int]]]]


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


def overlaps(records: Mapping[str, beam.PCollection]) -> beam.PCollection:
    """Return the sentences "group X in eval, train" of what lies in two splits, from records by split."""
    return (
        _flattened("Keys", records, _keys)
        | "Splits of each key" >> beam.CombinePerKey(beam.combiners.ToSetCombineFn())
        | "In two" >> beam.Filter(lambda item: len(item[1]) > 1)
        | "Named" >> beam.Map(lambda item: f"{item[0]} in {', '.join(sorted(item[1]))}")
    )


def summarise(sentences: Iterable[str]) -> Overlap:
    """Count what :func:`overlaps` found."""
    ordered = sorted(sentences)
    return Overlap(
        groups=sum(text.startswith("group ") for text in ordered),
        images=sum(text.startswith("image ") for text in ordered),
        named=tuple(ordered[:EXAMPLES_NAMED]),
    )


def count(records: Mapping[str, beam.PCollection]) -> beam.PCollection:
    """Count images by label in each value of ``GROUPS``: lines of JSON for :func:`collect`, from records by split.

    The report shows these counts; counted here, where every record is read anyway, it need not read them again.
    """
    return (
        _flattened("Groups", records, _groups)
        | "Images of each" >> beam.combiners.Count.PerElement()
        | "As JSON" >> beam.Map(json.dumps)
    )


def collect(lines: Iterable[str]) -> Counts:
    """Return what :func:`count` counted, in an order of its own: Beam writes lines in any, and the file is hashed."""
    found: Counts = {}
    for (split, group, value, target), images in map(json.loads, sorted(lines)):
        labels = found.setdefault(split, {}).setdefault(group, {}).setdefault(value, [0, 0])
        labels[target] += images
    return found


def _flattened(
    name: str, records: Mapping[str, beam.PCollection], of: Callable[[bytes, str], Iterator[Any]]
) -> beam.PCollection:
    """Return what ``of`` yields of each record and its split, of all splits."""
    found = tuple(one | f"{name} of {split}" >> beam.FlatMap(of, split) for split, one in records.items())
    return found | f"All {name}" >> beam.Flatten()


def _keys(record: bytes, split: str) -> Iterator[tuple[str, str]]:
    """Yield what must stay in one split: the group's id and the image's SHA-256."""
    values = tfrecord.parse(record)
    yield f"group {tfrecord.text(values, features.GROUP_ID)}", split
    yield f"image {hashlib.sha256(tfrecord.first(values, features.IMAGE)).hexdigest()[:16]}", split


def _groups(record: bytes, split: str) -> Iterator[tuple[str, str, str, int]]:
    item = tfrecord.parse(record)
    target = int(tfrecord.first(item, features.TARGET))
    for group in GROUPS:
        known = (
            features.age_band(tfrecord.first(item, features.AGE))
            if group == features.AGE_BAND
            else tfrecord.text(item, group, features.UNKNOWN)
        )
        yield split, group, known, target
