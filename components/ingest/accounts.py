"""Accounts of an ingest job: its manifest, over all spans of the data set."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from components.ingest import manifest
from components.ingest.config import IngestConfig
from components.ingest.dealt import Dealt
from components.ingest.manifest import Manifest
from components.ingest.row import Found, Refusal
from core import features

_MOST_NAMES: Final = 200
NOTHING: Final = manifest.Counts(
    rows_read=0, written=0, quarantined=0, by_reason={}, converted={}, near_duplicates=0, unlisted_files=0
)


@dataclass(frozen=True, slots=True)
class Span:
    """What one run of ingest read and wrote."""

    number: int  # 1 is the first
    found: Sequence[Found]  # each source as it was read
    refusals: Sequence[Refusal]  # rows that were quarantined
    converted: Mapping[str, int]  # written images that were re-encoded, by why
    near_images: int  # written images with a near-copy
    shards: Mapping[str, Sequence[manifest.Shard]]  # files by split


def manifest_of(
    span: Span,
    images: Sequence[Dealt],
    config: IngestConfig,
    before: Manifest | None,
    grown_from: Sequence[str] = (),
) -> Manifest:
    """Return the manifest of a data set with a new span, from that of the spans before it (None for the first).

    ``images`` are all of the data set, those of earlier spans too; ``grown_from`` data versions whose splits are kept.
    """
    present = [one for one in images if one.span]
    splits = {
        name: split_counts(
            [one for one in present if one.split == name],
            [*(before.splits[name].shards if before else ()), *span.shards[name]],
        )
        for name in features.SPLITS
    }
    where = {(one.group, one.split) for one in present}
    if len(where) != len({group for group, _ in where}):
        twice = Counter(group for group, _ in where).most_common(1)[0][0]
        raise RuntimeError(f"group {twice} lies in more than one split")
    version = manifest.data_version(one.digest for one in present)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Manifest(
        data_version=version,
        created=now,
        counts=_counts(span, before),
        splits=splits,
        sources=(*(before.sources if before else ()), *_sources(span, config, present)),
        spans=(*(before.spans if before else ()), _span(span.number, now, present)),
        # The same data ingested again are the same in every word.
        grown_from=tuple(one for one in grown_from if one != version),
        labels=_labels(span.found, before),
        class_weights=splits["train"].class_weights,
        config=config,
    )


def _counts(span: Span, before: Manifest | None) -> manifest.Counts:
    old = before.counts if before else NOTHING
    read = sum(one.rows_read for one in span.found)
    refused = Counter(refusal.reason for refusal in span.refusals)
    return manifest.Counts(
        rows_read=old.rows_read + read,
        written=old.written + read - refused.total(),
        quarantined=old.quarantined + refused.total(),
        by_reason=dict(sorted((refused + Counter(old.by_reason)).items())),
        converted=dict(sorted((Counter(span.converted) + Counter(old.converted)).items())),
        near_duplicates=old.near_duplicates + span.near_images,
        unlisted_files=old.unlisted_files + sum(one.unlisted for one in span.found),
    )


def _span(number: int, now: str, present: Sequence[Dealt]) -> manifest.Span:
    mine = [one for one in present if one.span == number]
    return manifest.Span(
        number=number,
        created=now,
        images={name: sum(one.split == name for one in mine) for name in features.SPLITS},
        positives={name: sum(one.target for one in mine if one.split == name) for name in features.SPLITS},
    )


def _sources(span: Span, config: IngestConfig, present: Sequence[Dealt]) -> Iterable[manifest.SourceCounts]:
    written = Counter(one.source for one in present if one.span == span.number)
    for source, one in zip(config.sources, span.found, strict=True):
        yield manifest.SourceCounts(
            name=source.title,
            kind=source.kind,
            table=(source.path if source.kind == "folder" else source.table()).name,
            rows_read=one.rows_read,
            written=written[source.title],
            span=span.number,
        )


def _labels(found: Sequence[Found], before: Manifest | None) -> tuple[manifest.LabelCount, ...]:
    counts: Counter[tuple[str, str]] = sum((one.labels for one in found), Counter())
    for old in before.labels if before else ():
        counts[old.name, old.became] += old.rows
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        manifest.LabelCount(name=name, became=became, rows=rows)
        for (name, became), rows in ordered[:_MOST_NAMES]
    )


def split_counts(images: Sequence[Dealt], shards: Sequence[manifest.Shard]) -> manifest.SplitCounts:
    """Return what a split holds."""
    return manifest.SplitCounts(
        images=len(images),
        positives=sum(one.target for one in images),
        groups=len({one.group for one in images}),
        diagnoses=dict(sorted(Counter(one.diagnosis for one in images).items())),
        shards=tuple(shards),
    )
