"""Counts images by label in each value of sex, age, site, diagnosis and source: a Beam transform.

The report shows these counts; counted here, where every record is read anyway, it need not read them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import apache_beam as beam

from core import tfrecord
from core.features import AGE, AGE_BAND, DIAGNOSIS, SEX, SITE, SOURCE, TARGET, UNKNOWN, age_band

GROUPS: Final = (SEX, AGE_BAND, SITE, DIAGNOSIS, SOURCE)

# By split, group and value: [other lesions, melanomas].
Counts = dict[str, dict[str, dict[str, list[int]]]]


def count(records: Mapping[str, beam.PCollection]) -> beam.PCollection:
    """Return lines of JSON for :func:`collect`, from records by split."""
    keys = tuple(
        split_records | f"Groups of {split}" >> beam.FlatMap(_keys, split)
        for split, split_records in records.items()
    )
    return (
        keys
        | "All groups" >> beam.Flatten()
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


def _keys(record: bytes, split: str) -> Iterator[tuple[str, str, str, int]]:
    item = tfrecord.parse(record)
    target = int(tfrecord.first(item, TARGET))
    for group in GROUPS:
        known = (
            age_band(tfrecord.first(item, AGE)) if group == AGE_BAND else tfrecord.text(item, group, UNKNOWN)
        )
        yield split, group, known, target
