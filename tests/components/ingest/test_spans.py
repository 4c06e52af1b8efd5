from __future__ import annotations

import csv
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from components.ingest import dealt, spans
from components.ingest.config import IngestConfig, Source
from components.ingest.errors import IngestError
from components.ingest.job import ingest
from components.ingest.manifest import Manifest
from core import features, tfrecord

Write = Callable[..., Source]
Configure = Callable[..., IngestConfig]


@pytest.fixture
def data(tmp_path: Path, photo_file: Callable[[int], bytes]) -> Write:
    """data(folder, numbers): a table of the images with these numbers; a number is the same picture everywhere."""

    def write(folder: str, numbers: range | list[int], **columns: Callable[[int], object]) -> Source:
        (tmp_path / folder / "images").mkdir(parents=True)
        with (tmp_path / folder / "metadata.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image_name", "target", *columns])
            for number in numbers:
                table.writerow(
                    [f"im{number:04}", int(number % 6 == 0), *(make(number) for make in columns.values())]
                )
                path = tmp_path / folder / "images" / f"im{number:04}.jpg"
                path.write_bytes(photo_file(number * 7919 + zlib.crc32(b"x") % 97))
        return Source(kind="csv", path=tmp_path / folder / "metadata.csv")

    return write


def splits(out: Path) -> dict[str, str]:
    """Split by image name, from the records themselves."""
    return {
        tfrecord.text(values, features.IMAGE_NAME): split
        for split in features.SPLITS
        for path in sorted((out / split).glob("*.tfrecord.gz"))
        for values in tfrecord.examples(path)
    }


def moved(before: dict[str, str], after: dict[str, str]) -> int:
    return sum(after.get(name) != split for name, split in before.items())


def test_three_spans_in_a_row(tmp_path: Path, data: Write, config: Configure) -> None:
    out, lesion = tmp_path / "out", {"lesion_id": lambda n: f"L{n // 2}"}
    first = ingest(config(data("one", range(60), **lesion)), out)
    place = splits(out)
    assert [span.number for span in first.spans] == [1]
    # The second span shows some lesions of the first again, and the third some of both.
    for number, (folder, numbers) in enumerate(
        [("two", [*range(60, 100), 3, 5]), ("three", [*range(100, 140), 61, 7])], start=2
    ):
        source = data(folder, [n for n in numbers if n >= 60 or number == 2], **lesion)
        before = place
        manifest = ingest(config(source), out, add=True)
        place = splits(out)
        assert moved(before, place) == 0
        assert [span.number for span in manifest.spans] == list(range(1, number + 1))
        assert (
            manifest.counts.written == len(place) == sum(sum(one.images.values()) for one in manifest.spans)
        )
        manifest.verify(out)
        lesions: dict[int, set[str]] = {}
        for name, split in place.items():
            lesions.setdefault(int(name[2:]) // 2, set()).add(split)
        assert all(len(found) == 1 for found in lesions.values())
        share = {name: one.images / len(place) for name, one in manifest.splits.items()}
        assert abs(share["train"] - 0.70) < 0.05
        assert all(one.positives and one.negatives for one in manifest.splits.values())
    assert manifest.counts.by_reason == {"duplicate": 3}
    assert {(one.name, one.span) for one in manifest.sources} == {("one", 1), ("two", 2), ("three", 3)}
    with (out / "quarantine.csv").open(newline="") as file:
        assert [row["reason"] for row in csv.DictReader(file)] == ["duplicate"] * 3


def test_a_data_set_knows_the_versions_it_grew_from(tmp_path: Path, data: Write, config: Configure) -> None:
    out = tmp_path / "out"
    first = ingest(config(data("one", range(40))), out)
    second = ingest(config(data("two", range(40, 60))), out, add=True)
    assert (first.grown_from, second.grown_from) == ((), (first.data_version,))
    third = ingest(config(data("three", range(60, 80))), out, add=True)
    assert third.grown_from == (first.data_version, second.data_version)
    assert spans.select(out, {3}, tmp_path / "some").grown_from[-1] == third.data_version
    # The same again is the same in every word; another seed deals anew and has no ancestors.
    source = data("four", range(30))
    once = ingest(config(source), tmp_path / "again")
    assert ingest(config(source), tmp_path / "again").grown_from == once.grown_from == ()
    assert ingest(config(source, seed=3), tmp_path / "again").grown_from == ()


def test_ten_more_rows_move_nothing(tmp_path: Path, data: Write, config: Configure) -> None:
    out = tmp_path / "out"
    ingest(config(data("one", range(150))), out)
    before = splits(out)
    grown = data("grown", range(160))
    ingest(config(grown), out)
    assert moved(before, splits(out)) == 0
    # Without the old folder only groups near a cut come out elsewhere.
    ingest(config(grown), tmp_path / "fresh")
    assert moved(before, splits(tmp_path / "fresh")) <= 0.05 * len(before)


def test_another_folder_name_deals_the_same(tmp_path: Path, data: Write, config: Configure) -> None:
    numbers, people = range(60), {"patient_id": lambda n: f"p{n // 3}"}
    ingest(config(data("one", numbers, **people)), tmp_path / "a")
    ingest(config(data("renamed", numbers, **people)), tmp_path / "b")
    assert splits(tmp_path / "a") == splits(tmp_path / "b")


def test_an_image_that_comes_back_finds_its_place(tmp_path: Path, data: Write, config: Configure) -> None:
    out = tmp_path / "out"
    everything = data("all", range(60))
    first = ingest(config(everything), out)
    before = splits(out)
    ingest(config(data("half", range(30))), out)
    again = ingest(config(everything), out)
    assert splits(out) == before
    assert again.data_version == first.data_version


def test_what_ties_two_splits_together_is_refused_and_told(
    tmp_path: Path, data: Write, config: Configure
) -> None:
    out = tmp_path / "out"
    ingest(config(data("one", range(1, 60), patient_id=lambda n: f"p{n}", lesion_id=lambda n: f"l{n}")), out)
    place = splits(out)
    a = next(int(name[2:]) for name, split in place.items() if split == "train")
    b = next(int(name[2:]) for name, split in place.items() if split == "test")
    between = data(
        "two", [61, 62, 63], patient_id=lambda _: f"p{a}", lesion_id=lambda n: f"l{b}" if n == 61 else f"n{n}"
    )
    ingest(config(between), out, add=True)
    after = splits(out)
    assert moved(place, after) == 0
    assert {after[name] for name in ("im0062", "im0063")} == {"train"}
    with (out / "quarantine.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["image_name"], row["reason"]) == ("im0061", "between_splits")
    assert row["detail"] == "it ties together what lies in test and train"


def test_a_near_copy_of_an_old_image_joins_it(
    tmp_path: Path, data: Write, config: Configure, encode: Callable[..., bytes]
) -> None:
    out = tmp_path / "out"
    ingest(config(data("one", range(40))), out)
    source = data("two", [100, 101, 102])
    images = {number: tmp_path / "one" / "images" / f"im{number:04}.jpg" for number in (1, 2, 6)}
    for new, old in ((100, 1), (101, 2), (102, 6)):
        with Image.open(images[old]) as image:
            (tmp_path / "two" / "images" / f"im{new:04}.jpg").write_bytes(
                encode(image.resize((150, 120)), quality=80)
            )
    manifest = ingest(config(source), out, add=True)
    place = splits(out)
    assert place["im0100"] == place["im0001"]
    assert place["im0101"] == place["im0002"]
    # Number 6 is positive and 102 as well: the same lesion, the same label.
    assert place["im0102"] == place["im0006"]
    assert manifest.counts.near_duplicates == 3


def test_known_pairs_of_one_lesion_stay_together(tmp_path: Path, data: Write, config: Configure) -> None:
    source = data("one", range(40))
    apart = ingest(config(source), tmp_path / "a")
    place = splits(tmp_path / "a")
    first = next(name for name, split in place.items() if split == "train")
    second = next(name for name, split in place.items() if split == "test")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(f"image_1,image_2\n{first}.jpg,{second}\nabsent,{first}\n")
    ingest(config(source, same_lesion=pairs), tmp_path / "b")
    together = splits(tmp_path / "b")
    assert together[first] == together[second]
    assert apart.counts.written == len(together)
    pairs.write_text("one column\n")
    with pytest.raises(IngestError, match=r"pairs.csv, line 1: expected two image names"):
        ingest(config(source, same_lesion=pairs), tmp_path / "c")


def test_a_span_must_fit_its_data_set(tmp_path: Path, data: Write, config: Configure) -> None:
    source, out = data("one", range(20)), tmp_path / "out"
    with pytest.raises(IngestError, match="is not an ingested data set"):
        ingest(config(source), out, add=True)
    ingest(config(source), out)
    content = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(IngestError, match="was ingested with seed = 2020, the new span with 7"):
        ingest(config(source, seed=7), out, add=True)
    with pytest.raises(IngestError, match=r"no usable image in 20 rows \(20 duplicate\)"):
        ingest(config(source), out, add=True)
    (out / dealt.NAME).write_text("sha256,split\nx,nowhere\n")
    with pytest.raises(IngestError, match=r"splits.csv is damaged"):
        ingest(config(data("two", range(20, 30))), out, add=True)
    (out / dealt.NAME).write_bytes(content[out / dealt.NAME])
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == content


def test_old_shards_are_linked_not_copied(tmp_path: Path, data: Write, config: Configure) -> None:
    out = tmp_path / "out"
    ingest(config(data("one", range(20))), out)
    before = {path.name: path.stat().st_ino for path in (out / "train").iterdir()}
    ingest(config(data("two", range(20, 40))), out, add=True)
    after = {path.name: path.stat().st_ino for path in (out / "train").iterdir()}
    assert {name: after[name] for name in before} == before
    assert Manifest.load(out).splits["train"].images == sum(one == "train" for one in splits(out).values())


def test_the_table_of_splits_names_nobody(tmp_path: Path, data: Write, config: Configure) -> None:
    source: Any = data("one", range(20), patient_id=lambda n: f"Jane Doe {n}")
    ingest(config(source), tmp_path / "out")
    text = (tmp_path / "out" / dealt.NAME).read_text()
    assert "Jane" not in text
    assert len(dealt.load(tmp_path / "out")) == 20


def test_some_spans_are_a_data_set_of_their_own(tmp_path: Path, data: Write, config: Configure) -> None:
    out = tmp_path / "out"
    for number, start in enumerate((0, 40, 80)):
        whole = ingest(config(data(f"d{start}", range(start, start + 40))), out, add=bool(number))
    some = spans.select(out, spans.parse("2-3"), tmp_path / "some")
    some.verify(tmp_path / "some")
    place, all_places = splits(tmp_path / "some"), splits(out)
    assert {int(name[2:]) for name in place} == set(range(40, 120))
    assert moved(place, all_places) == 0
    assert [span.number for span in some.spans] == [2, 3]
    assert some.data_version != whole.data_version
    assert spans.select(out, {1, 2, 3}, tmp_path / "all").data_version == whole.data_version
    again = spans.select(out, {2, 3}, tmp_path / "some")
    assert again.data_version == some.data_version
    with pytest.raises(IngestError, match="has no span 4; there are 1, 2, 3"):
        spans.select(out, {3, 4}, tmp_path / "x")
    for wrong in ("", "a", "1-", "1;2"):
        with pytest.raises(IngestError, match="write span numbers"):
            spans.parse(wrong)
    assert spans.parse("1,3-5") == {1, 3, 4, 5}


def test_a_data_set_of_some_sources_keeps_every_split(tmp_path: Path, data: Write, config: Configure) -> None:
    sources = [
        data(folder, numbers).model_copy(update={"name": folder})
        for folder, numbers in (("one", range(60)), ("two", range(60, 100)))
    ]
    whole = tmp_path / "whole"
    ingest(config(*sources), whole)
    place = splits(whole)
    assert spans.sources(whole) == ("one", "two")
    rest = spans.select_sources(whole, {"one"}, tmp_path / "rest")
    left = spans.select_sources(whole, {"two"}, tmp_path / "left")
    assert splits(tmp_path / "rest") | splits(tmp_path / "left") == place
    assert moved(place, splits(tmp_path / "rest")) == len(splits(tmp_path / "left")) == 40
    assert rest.splits["train"].images == sum(place[f"im{n:04}"] == "train" for n in range(60))
    assert [one.name for one in left.sources] == ["two"]
    assert len({rest.data_version, left.data_version, Manifest.load(whole).data_version}) == 3
    rest.verify(tmp_path / "rest")
    # The same part made again is the same data.
    assert spans.select_sources(whole, {"one"}, tmp_path / "again").data_version == rest.data_version
