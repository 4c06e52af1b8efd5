import io

import pytest
from PIL import Image

from pipeline.report import lesions
from tests.pipeline.report import fake_run


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    made = {"train": fake_run.rows(90, 1), "test": fake_run.rows(40, 2)}
    for split, rows in made.items():
        fake_run.write_records(folder, split, rows, fake_run.jpeg)
    files = {split: sorted((folder / split).glob("*.gz")) for split in made}
    wanted = ["LESION_00003", "LESION_00039", "LESION_00077"]
    return made, lesions.scan(files, wanted), files


@pytest.mark.parametrize("group", lesions.GROUPS)
def test_every_image_is_counted_once_in_every_group(scanned, group):
    made, found, _ = scanned
    for split, rows in made.items():
        labels = [found.labels(group, value, [split]) for value in found.values(group)]
        positives = sum(row["target"] for row in rows)
        assert (sum(n for n, _ in labels), sum(p for _, p in labels)) == (len(rows) - positives, positives)


def test_what_is_not_recorded_counts_as_unknown_and_comes_last(scanned):
    made, found, _ = scanned
    missing = sum(row["sex"] == "unknown" for rows in made.values() for row in rows)
    assert missing
    assert sum(found.labels("sex", "unknown", ["train", "test"])) == missing
    assert found.values("sex")[-1] == "unknown"
    ages = [value for value in found.values("age_band") if value != "unknown"]
    assert ages == ["under 30", "30-44", "45-59", "60-74", "75 and over"]


def test_only_wanted_test_images_get_a_picture(scanned):
    assert set(scanned[1].pictures) == {"LESION_00003", "LESION_00039"}
    assert scanned[1].originals == {f"LESION_{number:05d}": fake_run.jpeg(number) for number in (3, 39)}


def test_samples_hold_melanomas(scanned):
    made, found, _ = scanned
    assert len(found.samples) == min(5, 90) + min(3, sum(row["target"] for row in made["train"]))


def test_a_large_data_set_is_read_in_part_and_says_so(scanned, monkeypatch):
    monkeypatch.setattr(lesions, "MOST_BYTES", 10)
    found = lesions.scan(scanned[2], [])
    assert found.skipped == ("train",)
    assert {split for split, *_ in found.counts} == {"test"}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "I;16"])
def test_thumbnails_of_every_mode_are_small_rgb_jpegs_without_metadata(mode):
    out = io.BytesIO()
    kind = "JPEG" if mode == "CMYK" else "PNG"
    Image.new(mode, (900, 600)).save(out, kind)
    small = lesions.thumbnail(out.getvalue())
    assert small is not None
    with Image.open(io.BytesIO(small)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (176, 117))
        assert "exif" not in picture.info
    assert len(small) < 10_000


@pytest.mark.parametrize("junk", [b"", b"no image", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"])
def test_what_is_no_image_has_no_picture(junk):
    assert lesions.thumbnail(junk) is None
