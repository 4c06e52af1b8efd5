"""The cases of people's data, on real images: what is mangled comes out right, or is refused with its reason."""

from __future__ import annotations

import csv
import datetime
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from components.ingest.config import IngestConfig, Source
from components.ingest.job import ingest
from core import features, tfrecord

pytestmark = pytest.mark.real_data
Configure = Callable[..., IngestConfig]
Rows = list[dict[str, str]]
# As pathologists, registries and translators write it; none of them is in HAM10000's own table.
MELANOMAS = (
    "Malignant melanoma",
    "Superficial spreading melanoma",
    "Nodular melanoma",
    "in situ melanoma",
    "Lentigo maligna melanoma",
    "Mélanome",
    "Melanom",
    "MM",
)


@pytest.fixture
def rows(ham10000: Path) -> Rows:
    with (ham10000 / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Rows, **changed: Callable[[int, dict[str, str]], str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ["image_name", "lesion_id", "diagnosis", "age_approx", "sex", "anatom_site"]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        for number, row in enumerate(rows):
            table.writerow(row | {name: make(number, row) for name, make in changed.items()})
    return path


def source(table: Path, images: Path) -> Source:
    return Source(kind="csv", path=table, images=images)


def places(out: Path) -> dict[str, str]:
    return {
        tfrecord.text(values, features.IMAGE_NAME): split
        for split in features.SPLITS
        for path in sorted((out / split).glob("*.tfrecord.gz"))
        for values in tfrecord.examples(path)
    }


def positives(rows: Rows) -> int:
    return sum(row["diagnosis"] == "mel" for row in rows)


def some(rows: Rows, count: int) -> Rows:
    """A part with its share of melanomas."""
    return random.Random(1).sample(rows, count)


def test_mangled_names_lose_no_melanoma(
    tmp_path: Path, ham10000: Path, rows: Rows, config: Configure
) -> None:
    def mangled(number: int, row: dict[str, str]) -> str:
        return (
            MELANOMAS[number // 2 % len(MELANOMAS)]
            if row["diagnosis"] == "mel" and number % 2
            else row["diagnosis"]
        )

    # Every melanoma, and a tenth of what is none.
    part = [row for number, row in enumerate(rows) if row["diagnosis"] == "mel" or number % 10 == 0]
    table = write(tmp_path / "t.csv", part, diagnosis=mangled)
    manifest = ingest(config(source(table, ham10000 / "images"), decoders=None), tmp_path / "out")
    assert manifest.counts.by_reason.keys() <= {"label_conflict"}
    assert sum(split.positives for split in manifest.splits.values()) == positives(rows) == 491
    became = Counter({one.name: one.rows for one in manifest.labels if one.became == "1"})
    assert sum(became.values()) == 491
    assert set(became) == {"mel", *MELANOMAS}


def test_an_uncertain_or_unknown_name_is_refused_not_guessed(
    tmp_path: Path, ham10000: Path, rows: Rows, config: Configure
) -> None:
    part = some(rows, 400)

    def mangled(number: int, row: dict[str, str]) -> str:
        return ("melanoma?", "suspected melanoma", "Malignent melanoma")[number % 3] if row["diagnosis"] == "mel" else row["diagnosis"]  # fmt: skip

    table = write(tmp_path / "t.csv", part, diagnosis=mangled)
    manifest = ingest(config(source(table, ham10000 / "images"), decoders=None), tmp_path / "out")
    assert manifest.counts.by_reason["no_label"] == positives(part) > 20
    assert sum(split.positives for split in manifest.splits.values()) == 0


def test_linked_folders_are_read(tmp_path: Path, ham10000: Path, rows: Rows, config: Configure) -> None:
    part = some(rows, 300)
    for number, row in enumerate(part):
        label = "mel" if row["diagnosis"] == "mel" else "nv"
        folder = (
            tmp_path / "elsewhere" / label
            if label == "mel"
            else tmp_path / "set" / label / f"part{number % 3}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row['image_name']}.jpg").symlink_to(ham10000 / "images" / f"{row['image_name']}.jpg")
    (tmp_path / "set" / "melanoma").symlink_to(tmp_path / "elsewhere" / "mel")
    table = write(tmp_path / "set" / "metadata.csv", part)
    manifest = ingest(config(source(table, tmp_path / "set"), decoders=None), tmp_path / "out")
    assert (manifest.counts.written, manifest.counts.quarantined) == (300, 0)
    assert sum(split.positives for split in manifest.splits.values()) == positives(part)


def test_damaged_jpegs_are_named_and_the_rest_is_right(
    tmp_path: Path, ham10000: Path, rows: Rows, config: Configure
) -> None:
    part = some(rows, 240)
    images = tmp_path / "images"
    images.mkdir()
    for number, row in enumerate(part):
        name = f"{row['image_name']}.jpg"
        data = (ham10000 / "images" / name).read_bytes()
        if number < 60:
            data = (data[:-2], data[:-2] + bytes(400), data[: len(data) // 2] + bytes(len(data) // 2))[
                number % 3
            ]
        (images / name).write_bytes(data)
    table = write(tmp_path / "t.csv", part)
    manifest = ingest(config(source(table, images), decoders=None), tmp_path / "out")
    assert manifest.counts.by_reason == {"truncated": 60}
    assert manifest.counts.written == 180
    damaged = {row["image_name"] for row in part[:60]}
    assert damaged.isdisjoint(places(tmp_path / "out"))


@pytest.mark.slow
def test_renamed_images_keep_labels_and_splits(
    tmp_path: Path, ham10000: Path, rows: Rows, config: Configure
) -> None:
    part = some(rows, 300)
    day = datetime.date(2019, 1, 1)
    named: dict[str, Callable[[int], str]] = {
        "words": lambda number: f"left upper back {number}",
        "dates": lambda number: str(day + datetime.timedelta(number)),
        "numbers": lambda number: f"{number:06}",
    }
    ingest(
        config(source(write(tmp_path / "a.csv", part), ham10000 / "images"), decoders=None), tmp_path / "a"
    )
    before = places(tmp_path / "a")
    for kind, name in named.items():
        names = {row["image_name"]: name(number) for number, row in enumerate(part)}
        images = tmp_path / kind
        images.mkdir()
        for old, new in names.items():
            (images / f"{new}.jpg").symlink_to(ham10000 / "images" / f"{old}.jpg")
        table = write(
            tmp_path / f"{kind}.csv", part, image_name=lambda _, row, names=names: names[row["image_name"]]
        )
        manifest = ingest(config(source(table, images), decoders=None), tmp_path / f"{kind} out")
        assert manifest.counts.written == 300, kind
        after = places(tmp_path / f"{kind} out")
        assert {names[old]: split for old, split in before.items()} == after, kind


@pytest.mark.slow
def test_three_spans_move_nothing(tmp_path: Path, ham10000: Path, rows: Rows, config: Configure) -> None:
    mixed = some(rows, 900)
    out = tmp_path / "out"
    before: dict[str, str] = {}
    for number, start in enumerate(range(0, 900, 300)):
        table = write(tmp_path / f"{number}.csv", mixed[start : start + 300])
        manifest = ingest(config(source(table, ham10000 / "images"), decoders=None), out, add=bool(number))
        after = places(out)
        assert {name: after[name] for name in before} == before
        before = after
    assert [sum(span.images.values()) for span in manifest.spans] == [300, 300, 300]
    assert sum(split.positives for split in manifest.splits.values()) == positives(mixed)
    for name, share in (("train", 0.70), ("eval", 0.15), ("test", 0.15)):
        split = manifest.splits[name]
        assert abs(split.images / 900 - share) < 0.02
        assert abs(split.positives / positives(mixed) - share) < 0.06


def test_more_rows_move_few_without_any_memory(
    tmp_path: Path, ham10000: Path, rows: Rows, config: Configure
) -> None:
    mixed = some(rows, 310)
    for name, count in (("a", 300), ("b", 310)):
        table = write(tmp_path / f"{name}.csv", mixed[:count])
        ingest(config(source(table, ham10000 / "images"), decoders=None), tmp_path / name)
    before, after = places(tmp_path / "a"), places(tmp_path / "b")
    assert sum(after[name] != split for name, split in before.items()) <= 15
