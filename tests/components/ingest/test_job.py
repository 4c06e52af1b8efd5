from __future__ import annotations

import csv
import fcntl
import os
import random
import resource
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from PIL import Image

from components.ingest import job
from components.ingest.config import IngestConfig, Source
from components.ingest.errors import IngestError
from components.ingest.job import ingest
from components.ingest.manifest import Manifest
from components.ingest.shard import ChangedError
from core import features

Table = Callable[..., Source]
Configure = Callable[..., IngestConfig]


def _examples(out: Path, split: str) -> list[dict[str, Any]]:
    files = sorted(str(path) for path in (out / split).glob("data-*-of-*.tfrecord.gz"))
    records: list[dict[str, Any]] = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP"):
        values = tf.train.Example.FromString(record.numpy()).features.feature
        records.append({name: getattr(one, one.WhichOneof("kind")).value[0] for name, one in values.items()})
    return records


def _quarantine(out: Path) -> list[dict[str, str]]:
    with (out / "quarantine.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _rows(count: int, **more: Callable[[int], object]) -> list[dict[str, object]]:
    return [
        {
            "image_name": f"im{n:03}",
            "target": int(n % 6 == 0),
            **{key: value(n) for key, value in more.items()},
        }
        for n in range(count)
    ]


def test_rows_become_records(tmp_path: Path, table: Table, config: Configure) -> None:
    rows = _rows(
        40,
        patient_id=lambda n: f"John Doe {n // 3}",
        diagnosis=lambda n: "melanoma" if n % 6 == 0 else "nevus",
        sex=lambda n: ["male", "female", ""][n % 3],
        age_approx=lambda n: "" if n % 5 == 0 else 40 + n,
        anatom_site=lambda n: "torso" if n % 2 else "unknown",
    )
    source = table(rows)
    out = tmp_path / "out"
    seen: list[tuple[str, int, int]] = []
    manifest = ingest(config(source), out, listener=lambda *told: seen.append(told))
    assert Manifest.load(out) == manifest
    manifest.verify(out)
    assert (manifest.counts.rows_read, manifest.counts.written, manifest.counts.quarantined) == (40, 40, 0)
    assert _quarantine(out) == []
    assert [told for told in seen if told[1] in (0, 40)] == [
        ("check", 0, 40),
        ("check", 40, 40),
        ("write", 0, 40),
        ("write", 40, 40),
    ]
    by_name = {
        record[features.IMAGE_NAME].decode(): record
        for split in features.SPLITS
        for record in _examples(out, split)
    }
    assert len(by_name) == 40
    groups: dict[str, set[bytes]] = defaultdict(set)
    for n, row in enumerate(rows):
        record = by_name[str(row["image_name"])]
        assert record[features.IMAGE] == (source.path.parent / "images" / f"im{n:03}.jpg").read_bytes()
        assert record[features.TARGET] == int(n % 6 == 0)
        assert record[features.DIAGNOSIS] == (b"mel" if n % 6 == 0 else b"nv")
        assert record[features.SOURCE] == b"set"
        assert record.get(features.SEX) == [b"male", b"female", None][n % 3]
        assert record.get(features.AGE) == (None if n % 5 == 0 else 40.0 + n)
        assert record.get(features.SITE) == (b"torso" if n % 2 else None)
        groups[str(row["patient_id"])].add(record[features.GROUP_ID])
    assert all(len(keys) == 1 for keys in groups.values())
    # No file names a patient.
    for path in out.rglob("*"):
        assert path.is_dir() or b"John Doe" not in path.read_bytes()


def test_no_group_lies_on_two_sides_and_every_side_has_both_labels(
    tmp_path: Path, table: Table, config: Configure
) -> None:
    manifest = ingest(config(table(_rows(60, patient_id=lambda n: f"p{n // 2}"))), tmp_path / "out")
    sides: dict[bytes, set[str]] = defaultdict(set)
    for split in features.SPLITS:
        for record in _examples(tmp_path / "out", split):
            sides[record[features.GROUP_ID]].add(split)
    assert len(sides) == 30
    assert all(len(found) == 1 for found in sides.values())
    assert all(split.positives and split.negatives for split in manifest.splits.values())
    assert 38 <= manifest.splits["train"].images <= 46


def test_the_order_of_the_rows_changes_no_byte(tmp_path: Path, table: Table, config: Configure) -> None:
    source = table(_rows(30, lesion_id=lambda n: f"l{n // 2}"))
    first = ingest(config(source, records_per_shard=8), tmp_path / "a")
    lines = source.path.read_text().splitlines()
    body = lines[1:]
    random.Random(3).shuffle(body)
    source.path.write_text("\n".join([lines[0], *body]) + "\n")
    second = ingest(config(source, records_per_shard=8), tmp_path / "b")
    assert first.data_version == second.data_version
    assert first.splits == second.splits
    assert len(first.splits["train"].shards) == 3
    again = ingest(config(source, seed=1), tmp_path / "b")
    assert again.data_version != first.data_version


def test_sources_are_merged_and_copies_across_them_found(
    tmp_path: Path, table: Table, config: Configure
) -> None:
    one = table(_rows(12), name="one")
    two = table([{"image_name": f"other{n}", "target": n % 2} for n in range(6)], name="two")
    images = (one.path.parent / "images", two.path.parent / "images")
    (images[1] / "other0.jpg").write_bytes((images[0] / "im003.jpg").read_bytes())
    (images[1] / "other1.jpg").write_bytes((images[0] / "im004.jpg").read_bytes())
    with Image.open(images[0] / "im005.jpg") as image:
        image.resize((120, 100)).save(images[1] / "other2.jpg", quality=85)
    out = tmp_path / "out"
    manifest = ingest(config(one, two), out)
    refused = {(row["source"], row["image_name"]): row["reason"] for row in _quarantine(out)}
    assert refused == {
        ("two", "other0"): "duplicate",
        ("one", "im004"): "label_conflict",
        ("two", "other1"): "label_conflict",
    }
    assert manifest.counts.near_duplicates == 2
    groups = {
        r[features.IMAGE_NAME]: r[features.GROUP_ID] for s in features.SPLITS for r in _examples(out, s)
    }
    assert groups[b"other2"] == groups[b"im005"]
    assert [(source.name, source.rows_read, source.written) for source in manifest.sources] == [
        ("one", 12, 11),
        ("two", 6, 4),
    ]


def test_two_hundred_hostile_files_are_accounted_for_and_memory_stays_bounded(
    tmp_path: Path, table: Table, config: Configure, hostile: Callable[[int], list[Any]]
) -> None:
    source = table(_rows(40))
    folder = source.path.parent / "images"
    expected: dict[str, str] = {}
    with source.path.open("a", newline="") as file:
        for seed in range(7):
            for what, ending, data, reason in hostile(seed):
                name = f"{what}-{seed}"
                expected[name] = reason
                (folder / f"{name}{ending}").write_bytes(data)
                file.write(f"{name},0\n")
        file.write("absent,1\n")
    expected["absent"] = "missing_file"
    assert len(expected) > 200
    out = tmp_path / "out"
    before = _peak_mib()
    # In this process, so that its memory can be watched; 30,000 x 30,000 pixels would take 2,700 MB.
    manifest = ingest(config(source), out)
    assert _peak_mib() - before < 400
    counts = manifest.counts
    assert counts.rows_read == 40 + len(expected) == counts.written + counts.quarantined
    refused = {row["image_name"]: row["reason"] for row in _quarantine(out)}
    written = {
        record[features.IMAGE_NAME].decode() for split in features.SPLITS for record in _examples(out, split)
    }
    assert refused.keys().isdisjoint(written)
    for name, reason in expected.items():
        if name in written:
            assert reason == "", name
        elif reason not in ("", "*"):
            # Many are the same bytes under another name; the decoder's verdict comes first.
            assert refused[name] == reason, name
        else:
            assert name in refused
    usable = {name for name, reason in expected.items() if not reason}
    assert len(usable & written) >= 0.9 * len(usable)
    for record in (record for split in features.SPLITS for record in _examples(out, split)):
        assert tf.io.decode_jpeg(record[features.IMAGE], channels=3).shape[-1] == 3
    assert counts.converted["orientation"] >= 5
    assert counts.converted["mode CMYK"] == 7
    assert all(row["file"] or row["reason"] == "missing_file" for row in _quarantine(out))
    assert not list((out).rglob("converted"))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_processes_write_the_same_as_this_one(tmp_path: Path, table: Table, config: Configure) -> None:
    source = table(_rows(20))
    here = ingest(config(source, max_side=64), tmp_path / "a")
    there = ingest(config(source, max_side=64, decoders=2), tmp_path / "b")
    assert here.splits == there.splits
    assert here.counts.converted == {"max_side": 20}


def test_a_failure_leaves_the_old_output_and_nothing_else(
    tmp_path: Path, table: Table, config: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = table(_rows(12))
    out = tmp_path / "data" / "out"
    old = ingest(config(source), out)

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "save_refusals", fail)
    with pytest.raises(KeyboardInterrupt):
        ingest(config(source, seed=5), out)
    assert Manifest.load(out) == old
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_image_that_changes_meanwhile_stops_the_job(
    tmp_path: Path, table: Table, config: Configure
) -> None:
    source = table(_rows(12))
    image = source.path.parent / "images" / "im003.jpg"

    def meddle(stage: str, done: int, total: int) -> None:
        if stage == "check" and done == total:
            image.write_bytes(b"another")

    with pytest.raises(ChangedError, match=r"im003.jpg changed while it was ingested: run the command again"):
        ingest(config(source), tmp_path / "out", listener=meddle)
    assert not (tmp_path / "out").exists()


def test_a_users_folder_is_never_replaced_unasked(tmp_path: Path, table: Table, config: Configure) -> None:
    source = table(_rows(12))
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.tex").write_text("years of work")
    with pytest.raises(IngestError, match=r"was not written by ingest: choose another folder, or --force"):
        ingest(config(source), out)
    assert (out / "chapter1.tex").read_text() == "years of work"
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(IngestError, match="is a file or a link"):
        ingest(config(source), tmp_path / "link", force=True)
    ingest(config(source), out, force=True)
    assert not (out / "chapter1.tex").exists()
    (aside,) = tmp_path.glob("thesis.replaced-*")
    assert (aside / "chapter1.tex").read_text() == "years of work"


def test_an_output_with_a_users_files_in_it_is_not_replaced(
    tmp_path: Path, table: Table, config: Configure
) -> None:
    source, out = table(_rows(12)), tmp_path / "out"
    ingest(config(source), out)
    (out / "raw").mkdir()
    (out / "raw" / "only-copy.jpg").write_bytes(b"picture")
    with pytest.raises(IngestError, match=r"out holds raw, which ingest did not write"):
        ingest(config(source), out)
    (out / "train" / "notes.txt").write_text("mine")
    (out / "raw").rename(tmp_path / "raw")
    with pytest.raises(IngestError, match=r"out holds train/notes.txt, which ingest did not write"):
        ingest(config(source), out)
    # Neither by its ending nor by its place is a file ingest's own.
    (out / "train" / "notes.txt").rename(out / "train" / "mine.tfrecord.gz")
    with pytest.raises(IngestError, match=r"out holds train/mine.tfrecord.gz, which ingest did not write"):
        ingest(config(source), out)


@pytest.mark.parametrize("where", ["set", ".", "set/images", "set/metadata.csv/.."])
@pytest.mark.parametrize("force", [False, True])
def test_a_source_is_never_replaced(
    where: str, force: bool, tmp_path: Path, table: Table, config: Configure
) -> None:
    source = table(_rows(12))
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    out = (tmp_path / where).resolve() if ".." not in where else tmp_path / "set"
    with_images = source.model_copy(update={"images": source.path.parent / "images"})
    with pytest.raises(IngestError, match="is, or holds, the source"):
        ingest(config(with_images), out, force=force)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == files
    # The images lie beside the table, though nobody says so; and a class's folder lies in the source.
    with pytest.raises(IngestError, match="is, or holds, the source"):
        ingest(config(source), tmp_path / "set" / "images", force=force)
    classes = source.model_copy(update={"kind": "folder", "path": tmp_path / "set"})
    with pytest.raises(IngestError, match=r"lies in the source|choose another folder, or --force"):
        ingest(config(classes), tmp_path / "set" / "images", force=force)
    assert all(path.is_file() for path in files)
    # Inside a source's folder there is room for an output.
    ingest(config(source), tmp_path / "set" / "out")
    assert all(path.is_file() for path in files)


def test_what_a_killed_job_left_is_cleared_and_put_back(
    tmp_path: Path, table: Table, config: Configure
) -> None:
    source, out = table(_rows(12)), tmp_path / "data" / "a[b]"
    old = ingest(config(source), out)
    stale = out.parent / ".a[b].ingest-dead"
    (stale / "train").mkdir(parents=True)
    (stale / "lock").touch()
    moved = out.parent / ".a[b].old-dead"
    moved.mkdir()
    out.rename(moved / "data")
    with pytest.raises(IngestError, match="no row has the positive diagnosis"):
        ingest(config(source, positive_diagnoses=("scc",)), out)
    assert Manifest.load(out) == old
    assert [path.name for path in out.parent.iterdir()] == ["a[b]"]


def test_file_names_that_are_not_text_are_read(
    tmp_path: Path, photo: Callable[..., Image.Image], encode: Callable[..., bytes], config: Configure
) -> None:
    for number in range(12):
        folder = tmp_path / "set" / ("mel" if number % 3 == 0 else "nv")
        folder.mkdir(parents=True, exist_ok=True)
        name = os.fsencode(folder) + b"/Muttermal-\xe4-%d.jpg" % number
        with open(name, "wb") as file:  # noqa: PTH123 - bytes
            file.write(encode(photo(900 + number), quality=90))
    with open(os.fsencode(tmp_path / "set" / "nv") + b"/\xff.txt", "wb") as file:  # noqa: PTH123
        file.write(b"x")
    out = tmp_path / "out"
    manifest = ingest(config(Source(kind="folder", path=tmp_path / "set")), out)
    assert (manifest.counts.written, manifest.counts.by_reason) == (12, {"not_an_image": 1})
    again = ingest(config(Source(kind="folder", path=tmp_path / "set")), out)
    assert again.data_version == manifest.data_version


def test_a_full_disk_leaves_the_old_output(
    tmp_path: Path, table: Table, config: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = table(_rows(12)), tmp_path / "out"
    old = ingest(config(source), out)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(job.dealt, "save", full)
    with pytest.raises(OSError, match="No space left"):
        ingest(config(source, seed=5), out)
    assert Manifest.load(out) == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_a_job_that_runs_is_left_alone(tmp_path: Path, table: Table, config: Configure) -> None:
    source, out = table(_rows(12)), tmp_path / "out"
    running = tmp_path / ".out.ingest-alive"
    running.mkdir()
    with (running / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ingest(config(source), out)
    assert running.is_dir()
    ingest(config(source), out)
    assert not running.exists()


def test_what_cannot_be_ingested_says_why(tmp_path: Path, table: Table, config: Configure) -> None:
    source = table(_rows(3))
    with pytest.raises(IngestError, match="two sources are called 'set': name them apart with ,name=NAME"):
        ingest(config(source, source), tmp_path / "out")
    for path in (source.path.parent / "images").iterdir():
        path.write_bytes(b"")
    with pytest.raises(IngestError, match=r"no usable image in 3 rows \(3 empty\), for example row 2 of set"):
        ingest(config(source), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.real_data
def test_real_images(tmp_path: Path, ham10000: Path, config: Configure) -> None:
    lines = (ham10000 / "metadata.csv").read_text().splitlines()
    (tmp_path / "some.csv").write_text("\n".join(lines[:401]) + "\n")
    source = Source(kind="csv", path=tmp_path / "some.csv", images=ham10000 / "images", name="ham")
    manifest = ingest(config(source, decoders=None), tmp_path / "out")
    assert (manifest.counts.written, manifest.counts.unlisted_files) == (400, 5584)
    assert Counter(split.groups for split in manifest.splits.values()).total() == 3
    assert manifest.counts.converted == {}
