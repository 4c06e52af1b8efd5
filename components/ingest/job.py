"""The ingest job: reads the sources, checks every image, splits, writes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Final, cast

from components.ingest import (
    accounts,
    beam_job,
    copies,
    dealt,
    diagnosis,
    manifest,
    shard,
)
from components.ingest.beam_job import JobRunner, Listener
from components.ingest.check import CheckJob, Outcome
from components.ingest.config import IngestConfig
from components.ingest.copies import Resolved
from components.ingest.errors import IngestError
from components.ingest.folder import staged, take_over
from components.ingest.layouts import table_file
from components.ingest.layouts.read import read
from components.ingest.manifest import Manifest
from components.ingest.picture import Limits
from components.ingest.row import Found, Refusal, Row, save_refusals
from components.ingest.shard import Record, ShardJob, Written
from components.ingest.split import Member, split
from core import features
from core.tfrecord import Value

# Big enough that Beam's and the pipe's cost for a batch vanish, small enough that both cores end together.
_BATCH: Final = 32

Placed = tuple[Row, Outcome, str, str]


def ingest(
    config: IngestConfig,
    out: Path | str,
    *,
    add: bool = False,
    remember: Path | None = None,
    force: bool = False,
    listener: Listener | None = None,
) -> Manifest:
    """Turn data sets into TFRecords.

    Writes ``out/{train,eval,test}/data-*.tfrecord.gz``, ``out/manifest.json``, ``out/splits.csv`` and
    ``out/quarantine.csv``. The folder appears whole or not at all; an earlier ingest output is replaced. Whatever lay in
    a split of it, with the same fractions and seed, stays in that split.

    Args:
        config: what to ingest, and how.
        out: the folder; on a Beam runner of several machines a path that all of them share.
        add: keep what is in ``out``, and add the sources as its next span.
        remember: another ingested data set whose splits are kept, where ``out`` does not exist yet.
        force: replace ``out`` even if it holds what ingest did not write; that is moved beside it.
        listener: called with the stage (`check` or `write`), and images done and in all.

    Raises:
        IngestError: a source cannot be read, ``out`` may not be replaced, or nothing usable was found.
    """
    out = Path(out)
    _check_names(config)
    before = _before(out, config) if add else None
    read_from = [path for source in config.sources for path in (source.path, source.image_place())]
    pairs = table_file.load_pairs(config.same_lesion) if config.same_lesion else ()
    # The processes start while the tables are read.
    with (
        staged(out, force=force, sources=read_from) as folder,
        beam_job.started(config, folder, listener) as runner,
    ):
        found = [read(source, config) for source in config.sources]
        _check_positives(config, found)
        good, refusals = _usable(found, config, runner)
        dealt_before, grown_from = _remembered(config, out, remember)
        resolved = copies.resolve(
            good, config.near_duplicate_distance, before=dealt_before, adding=add, same_lesion=pairs
        )
        refusals += resolved.refusals
        if not resolved.kept:
            reasons = ", ".join(
                f"{count} {reason}" for reason, count in Counter(r.reason for r in refusals).items()
            )
            raise IngestError(
                f"no usable image in {len(refusals)} rows ({reasons}), for example {_example(refusals)}"
            )
        placed = _place(resolved, config, [one for one in dealt_before if one.span and add])
        number = before.spans[-1].number + 1 if before else 1
        written = _write(placed, config, number, runner)
        if before:
            take_over(out, folder)
        images = _dealt(placed, number, dealt_before, adding=add)
        span = accounts.Span(
            number=number,
            found=found,
            refusals=refusals,
            converted=Counter(one[1].converted for one in placed if one[1].converted),
            near_images=resolved.near_images,
            shards=written,
        )
        result = accounts.manifest_of(span, images, config, before, grown_from)
        save_refusals(refusals, folder, after=out if before else None)
        dealt.save(images, folder)
        result.save(folder)
    return result


def _before(out: Path, config: IngestConfig) -> Manifest:
    """The data set that a span is added to."""
    before = Manifest.load(out)
    if not before.spans:
        raise IngestError(
            f"{out} has no spans and no {dealt.NAME}: ingest all its data again, then add to it"
        )
    for name in ("fractions", "seed", "positive_diagnoses", "near_duplicate_distance", "max_side"):
        old, new = getattr(before.config, name), getattr(config, name)
        if old != new:
            raise IngestError(
                f"{out} was ingested with {name} = {old}, the new span with {new}: a data set has one; leave it away"
            )
    return before


def _remembered(
    config: IngestConfig, out: Path, remember: Path | None
) -> tuple[tuple[dealt.Dealt, ...], tuple[str, ...]]:
    """What was dealt before by the same rules, and the data versions that it was dealt for."""
    folder = out if out.exists() else remember
    if folder is None or not (folder / manifest.NAME).is_file():
        return (), ()
    before = Manifest.load(folder)
    same = (before.config.fractions, before.config.seed) == (config.fractions, config.seed)
    table = dealt.load(folder) if same else ()
    versions = dict.fromkeys((*before.grown_from, before.data_version)) if table else {}
    return table, tuple(versions)


def _usable(
    found: Sequence[Found], config: IngestConfig, runner: JobRunner
) -> tuple[list[copies.Checked], list[Refusal]]:
    """Check every image that is there; what cannot be used is refused."""
    refusals = [refusal for one in found for refusal in one.refusals]
    rows = [row for one in found for row in one.rows]
    refusals += [
        Refusal.of(
            row,
            "missing_file",
            f"no image file is called {row.image_name!r}, or files of several folders are",
        )
        for row in rows
        if row.file is None
    ]
    present = [row for row in rows if row.file is not None]
    outcomes = _check(present, config, runner)
    good: list[copies.Checked] = []
    for row, outcome in zip(present, outcomes, strict=True):
        if outcome.reason:
            refusals.append(Refusal.of(row, outcome.reason, outcome.detail))
        else:
            good.append((row, outcome))
    return good, refusals


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


def _example(refusals: Sequence[Refusal]) -> str:
    first = refusals[0]
    return f"row {first.line} of {first.source}, {first.image_name!r}: {first.reason}: {first.detail}"


def _check(rows: Sequence[Row], config: IngestConfig, runner: JobRunner) -> list[Outcome]:
    """Check every image; the outcomes are in the order of the rows."""
    converted = runner.folder / "converted"
    converted.mkdir()
    limits = Limits(
        config.max_bytes, config.max_pixels, config.min_side, config.max_side, config.jpeg_quality
    )
    files = [(number, str(row.file)) for number, row in enumerate(rows)]
    jobs = [
        CheckJob(tuple(files[start : start + _BATCH]), limits, str(converted))
        for start in range(0, len(files), _BATCH)
    ]
    outcomes = list(chain.from_iterable(cast(list[list[Outcome]], runner.run("check", jobs))))
    if [outcome.number for outcome in outcomes] != list(range(len(rows))):
        raise RuntimeError(f"{len(rows)} images were to be checked, {len(outcomes)} outcomes came back")
    return outcomes


def _place(resolved: Resolved, config: IngestConfig, before: Sequence[dealt.Dealt]) -> list[Placed]:
    members = [Member(group, row.target, row.diagnosis or "") for row, _, group in resolved.kept]
    members += [Member(one.group, one.target, one.diagnosis) for one in before]
    fixed = {one.group: one.split for one in before} | resolved.dealt
    splits = split(members, config.fractions.model_dump(), config.seed, fixed)
    return [(row, outcome, group, splits[group]) for row, outcome, group in resolved.kept]


def _dealt(
    placed: Sequence[Placed], span: int, before: Sequence[dealt.Dealt], *, adding: bool
) -> list[dealt.Dealt]:
    """The new table of splits: the new images, and those that were dealt before."""
    images = [
        dealt.Dealt(
            sha256=outcome.sha256,
            fingerprint=outcome.fingerprint,
            target=row.target,
            diagnosis=row.diagnosis or "",
            group=group,
            split=name,
            span=span,
            ties=copies.keys(row, outcome),
            digest=hashlib.sha256(_line(row, outcome, group, name).encode()).hexdigest(),
            name=row.image_name,
            source=row.source,
        )
        for row, outcome, group, name in placed
    ]
    new = {one.sha256 for one in images}
    # What is not in the data at present keeps its place for when it comes back.
    images += [one if adding else dataclasses.replace(one, span=0) for one in before if one.sha256 not in new]
    return images


def _write(
    placed: Sequence[Placed], config: IngestConfig, span: int, runner: JobRunner
) -> dict[str, list[manifest.Shard]]:
    """Write the shards of every split, in the order of the hashes of their images."""
    by_split: dict[str, list[Record]] = {name: [] for name in features.SPLITS}
    # By hash, so that classes and patients are mixed in every file however the tables were sorted.
    for row, outcome, group, name in sorted(
        placed, key=lambda one: (one[1].sha256, one[0].source, one[0].image_name)
    ):
        by_split[name].append(Record(outcome.written_file, outcome.written_sha256, _values(row, group)))
    jobs: list[ShardJob] = []
    for name, records in by_split.items():
        (runner.folder / name).mkdir()
        shards = shard.batches(records, config.records_per_shard)
        for index, part in enumerate(shards):
            path = runner.folder / name / f"data-s{span:03d}-{index:05d}-of-{len(shards):05d}.tfrecord.gz"
            jobs.append(ShardJob(str(path), tuple(part)))
    results = cast(list[Written], runner.run("write", jobs))
    shutil.rmtree(runner.folder / "converted")
    written: dict[str, list[manifest.Shard]] = {name: [] for name in by_split}
    for job, made in zip(jobs, results, strict=True):
        path = Path(job.path).relative_to(runner.folder)
        shard_of = manifest.Shard(file=str(path), records=len(job), bytes=made.bytes, sha256=made.sha256)
        written[path.parts[0]].append(shard_of)
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


def _line(row: Row, outcome: Outcome, group: str, split_name: str) -> str:
    """Everything about an image that ends up in its record."""
    values = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in _values(row, group).items()
    }
    return json.dumps([split_name, outcome.written_sha256, values], sort_keys=True)
