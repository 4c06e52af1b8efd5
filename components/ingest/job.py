"""The ingest job: reads the sources, checks every image, splits, writes."""

from __future__ import annotations

import datetime
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from components.ingest import beam_job, copies, diagnosis, manifest, pool, progress, quarantine, shard
from components.ingest.check import CheckJob, Outcome
from components.ingest.config import IngestConfig
from components.ingest.copies import Resolved
from components.ingest.errors import IngestError
from components.ingest.folder import staged
from components.ingest.layouts.found import Found
from components.ingest.layouts.read import read
from components.ingest.manifest import Manifest
from components.ingest.picture import Limits
from components.ingest.row import Refusal, Row
from components.ingest.shard import Record, ShardJob, Written
from components.ingest.split import Member, split
from core import features
from core.tfrecord import Value

# Big enough that Beam's and the pipe's cost for a batch vanish, small enough that both cores end together.
_BATCH: Final = 32

_MOST_NAMES: Final = 200

Placed = tuple[Row, Outcome, str, str]


def ingest(
    config: IngestConfig,
    out: Path | str,
    *,
    force: bool = False,
    listener: progress.Listener | None = None,
) -> Manifest:
    """Turn data sets into TFRecords.

    Writes ``out/{train,eval,test}/data-*.tfrecord.gz``, ``out/manifest.json`` and ``out/quarantine.csv``. The folder
    appears whole or not at all; an earlier ingest output is replaced.

    Args:
        config: what to ingest, and how.
        out: the folder; on a Beam runner of several machines a path that all of them share.
        force: replace ``out`` even if ingest did not write it.
        listener: called with the stage (`check` or `write`), and images done and in all.

    Raises:
        IngestError: a source cannot be read, ``out`` may not be replaced, or nothing usable was found.
    """
    out = Path(out)
    _check_names(config)
    # The processes start while the tables are read.
    with staged(out, force=force) as folder, pool.shared(beam_job.size(config.decoders)) as pool_name:
        found = [read(source, config) for source in config.sources]
        _check_positives(config, found)
        refusals = [refusal for one in found for refusal in one.refusals]
        rows = [row for one in found for row in one.rows]
        refusals += [Refusal.of(row, "missing_file", _searched(row)) for row in rows if row.file is None]
        present = [row for row in rows if row.file is not None]
        outcomes = _check(present, config, folder, pool_name, listener)
        refusals += [
            Refusal.of(row, outcome.reason, outcome.detail)
            for row, outcome in zip(present, outcomes, strict=True)
            if outcome.reason
        ]
        good = [(row, outcome) for row, outcome in zip(present, outcomes, strict=True) if not outcome.reason]
        resolved = copies.resolve(good, config.near_duplicate_distance)
        refusals += resolved.refusals
        if not resolved.kept:
            reasons = ", ".join(
                f"{count} {reason}" for reason, count in Counter(r.reason for r in refusals).items()
            )
            raise IngestError(
                f"no usable image in {len(refusals)} rows ({reasons}), for example {_example(refusals)}"
            )
        placed = _place(resolved, config)
        written = _write(placed, config, folder, pool_name, listener)
        quarantine.save(refusals, folder)
        result = _manifest(config, found, refusals, resolved, placed, written)
        result.save(folder)
    return result


def _check_names(config: IngestConfig) -> None:
    twice = [name for name, count in Counter(source.title for source in config.sources).items() if count > 1]
    if twice:
        raise IngestError(f"two sources are called {twice[0]!r}: name them apart with ,name=NAME")


def _check_positives(config: IngestConfig, found: Sequence[Found]) -> None:
    """Refuse a positive diagnosis that no row has: it is misspelt, or the data is another."""
    there = {name for one in found for name in one.diagnoses}
    for name in config.positive_diagnoses:
        if diagnosis.closest(name) not in there:
            raise IngestError(
                f"no row has the positive diagnosis {name!r}; there are {', '.join(sorted(there)) or 'none'}"
            )


def _searched(row: Row) -> str:
    return f"no image file is called {row.image_name!r}"


def _example(refusals: Sequence[Refusal]) -> str:
    first = refusals[0]
    return f"row {first.line} of {first.source}, {first.image_name!r}: {first.reason}: {first.detail}"


def _check(
    rows: Sequence[Row],
    config: IngestConfig,
    folder: Path,
    pool_name: str,
    listener: progress.Listener | None,
) -> list[Outcome]:
    """Check every image; the outcomes are in the order of the rows."""
    converted = folder / "converted"
    converted.mkdir()
    limits = Limits(
        config.max_bytes, config.max_pixels, config.min_side, config.max_side, config.jpeg_quality
    )
    files = [(number, str(row.file)) for number, row in enumerate(rows)]
    jobs = [
        CheckJob(tuple(files[start : start + _BATCH]), limits, str(converted))
        for start in range(0, len(files), _BATCH)
    ]
    with progress.listening(listener, "check", len(rows)) as name:
        results = beam_job.run(jobs, config.beam_options, config.decoders, pool_name, name, folder)
    outcomes = [outcome for result in results if isinstance(result, list) for outcome in result]
    if [outcome.number for outcome in outcomes] != list(range(len(rows))):
        raise RuntimeError(f"{len(rows)} images were to be checked, {len(outcomes)} outcomes came back")
    return outcomes


def _place(resolved: Resolved, config: IngestConfig) -> list[Placed]:
    members = [Member(group, row.target, row.diagnosis or "") for row, _, group in resolved.kept]
    splits = split(members, config.fractions.by_name(), config.seed)
    return [(row, outcome, group, splits[group]) for row, outcome, group in resolved.kept]


def _write(
    placed: Sequence[Placed],
    config: IngestConfig,
    folder: Path,
    pool_name: str,
    listener: progress.Listener | None,
) -> dict[str, list[Written]]:
    """Write the shards of every split, in the order of the hashes of their images."""
    by_split: dict[str, list[Record]] = {name: [] for name in features.SPLITS}
    # By hash, so that classes and patients are mixed in every file however the tables were sorted.
    for row, outcome, group, name in sorted(
        placed, key=lambda one: (one[1].sha256, one[0].source, one[0].image_name)
    ):
        by_split[name].append(Record(outcome.written_file, outcome.written_sha256, _values(row, group)))
    jobs: list[ShardJob] = []
    for name, records in by_split.items():
        (folder / name).mkdir()
        shards = shard.batches(records, config.records_per_shard)
        for index, part in enumerate(shards):
            path = folder / name / f"data-{index:05d}-of-{len(shards):05d}.tfrecord.gz"
            jobs.append(ShardJob(str(path), tuple(part)))
    with progress.listening(listener, "write", len(placed)) as name:
        results = beam_job.run(jobs, config.beam_options, config.decoders, pool_name, name, folder)
    for path in (folder / "converted").iterdir():
        path.unlink()
    (folder / "converted").rmdir()
    written: dict[str, list[Written]] = defaultdict(list)
    for result in sorted((one for one in results if isinstance(one, Written)), key=lambda one: one.path):
        written[Path(result.path).parent.name].append(result)
    return written


def _values(row: Row, group: str) -> dict[str, Value]:
    values: dict[str, Value] = {
        features.IMAGE_NAME: row.image_name.encode("utf-8", "backslashreplace"),
        features.SOURCE: row.source.encode(),
        features.GROUP_ID: group.encode(),
        features.TARGET: row.target,
    }
    words = {features.DIAGNOSIS: row.diagnosis, features.SEX: row.sex, features.SITE: row.site}
    values.update({name: word.encode() for name, word in words.items() if word is not None})
    if row.age is not None:
        values[features.AGE] = float(row.age)
    return values


def _manifest(
    config: IngestConfig,
    found: Sequence[Found],
    refusals: Sequence[Refusal],
    resolved: Resolved,
    placed: Sequence[Placed],
    written: dict[str, list[Written]],
) -> Manifest:
    splits = {
        name: _split_counts([one for one in placed if one[3] == name], written[name])
        for name in features.SPLITS
    }
    groups = Counter(
        group for name in features.SPLITS for group in {one[2] for one in placed if one[3] == name}
    )
    if any(count > 1 for count in groups.values()):
        raise RuntimeError(f"group {groups.most_common(1)[0][0]} lies in more than one split")
    train = splits["train"]
    per_source = Counter(row.source for row, *_ in placed)
    return Manifest(
        data_version=manifest.data_version(_line(*one) for one in placed),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        counts=manifest.Counts(
            rows_read=sum(one.rows_read for one in found),
            written=len(placed),
            quarantined=len(refusals),
            by_reason=dict(sorted(Counter(refusal.reason for refusal in refusals).items())),
            converted=dict(sorted(Counter(one[1].converted for one in placed if one[1].converted).items())),
            near_duplicates=resolved.near_images,
            unlisted_files=sum(one.unlisted for one in found),
        ),
        splits=splits,
        sources=tuple(
            manifest.SourceCounts(
                name=source.title,
                kind=source.kind,
                table=(source.path if source.kind == "folder" else source.table()).name,
                rows_read=one.rows_read,
                written=per_source[source.title],
            )
            for source, one in zip(config.sources, found, strict=True)
        ),
        labels=_labels(found),
        class_weights=(
            features.class_weights(train.negatives, train.positives)
            if train.positives and train.negatives
            else None
        ),
        config=config,
    )


def _labels(found: Sequence[Found]) -> tuple[manifest.LabelCount, ...]:
    counts: Counter[tuple[str, str]] = sum((one.labels for one in found), Counter())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        manifest.LabelCount(name=name, became=became, rows=rows)
        for (name, became), rows in ordered[:_MOST_NAMES]
    )


def _split_counts(placed: Sequence[Placed], written: Sequence[Written]) -> manifest.SplitCounts:
    return manifest.SplitCounts(
        images=len(placed),
        positives=sum(row.target for row, *_ in placed),
        groups=len({group for _, _, group, _ in placed}),
        diagnoses=dict(sorted(Counter(row.diagnosis or "" for row, *_ in placed).items())),
        shards=tuple(
            manifest.Shard(
                file="/".join(Path(one.path).parts[-2:]),
                records=one.records,
                bytes=one.bytes,
                sha256=one.sha256,
            )
            for one in written
        ),
    )


def _line(row: Row, outcome: Outcome, group: str, split_name: str) -> str:
    """Everything about an image that ends up in its record."""
    values = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in _values(row, group).items()
    }
    return json.dumps([split_name, outcome.written_sha256, values], sort_keys=True)
