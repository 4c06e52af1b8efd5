"""Folders and file names: what they mean, what they do not, and how pictures are found in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.layouts.read import read
from components.ingest.source import Source
from tests.support.layouts import read_as


def test_a_folder_in_a_tables_name_counts_where_files_share_theirs(
    tmp_path: Path, images: Callable[..., None]
) -> None:
    images("malignant", "001.jpg", "002.jpg", "004.jpg")
    images("benign", "001.jpg", "004.jpg")
    table = tmp_path / "table.csv"
    table.write_text(
        "path,target\nmalignant/001.jpg,1\nbenign/001,0\n/elsewhere/002.jpg,1\n"
        "/data/set/benign/004.jpg,0\nother/001.jpg,1\n"
    )
    found = read_as("csv", table)
    where = {row.line: row.file and str(Path(row.file).relative_to(tmp_path)) for row in found.rows}
    assert where == {
        2: "malignant/001.jpg",
        3: "benign/001.jpg",
        4: "malignant/002.jpg",
        5: "benign/004.jpg",
        6: None,
    }
    assert [row.image_name for row in found.rows][:3] == ["malignant/001", "benign/001", "002"]


def test_folders_of_classes(tmp_path: Path, images: Callable[..., None]) -> None:
    images("set/train/benign", "a.jpg", "b.png")
    images("set/train/Malignant", "a.jpg")
    images("set/unsorted", "c.jpg")
    (tmp_path / "set" / "train" / "benign" / "notes.txt").write_text("x")
    found = read_as("folder", tmp_path / "set")
    assert {(row.image_name, row.target) for row in found.rows} == {
        ("train/benign/a", 0),
        ("train/benign/b", 0),
        ("train/Malignant/a", 1),
    }
    assert {(Path(refusal.file).name, refusal.reason) for refusal in found.refusals} == {
        ("notes.txt", "not_an_image"),
        ("c.jpg", "no_label"),
    }


def test_folders_called_after_diagnoses(tmp_path: Path, images: Callable[..., None]) -> None:
    for name in ("mel", "basal cell carcinoma", "NV"):
        images(f"set/{name}", "x.jpg")
    labels = {row.diagnosis: row.target for row in read_as("folder", tmp_path / "set").rows}
    assert labels == {"mel": 1, "bcc": 0, "nv": 0}
    wider = read_as("folder", tmp_path / "set", positive_diagnoses=("mel", "bcc"))
    assert {row.diagnosis: row.target for row in wider.rows} == {"mel": 1, "bcc": 1, "nv": 0}


def test_a_table_cannot_reach_outside_its_images(tmp_path: Path, images: Callable[..., None]) -> None:
    images("set/images", "a.jpg")
    images("outside", "secret.jpg")
    (tmp_path / "set" / "metadata.csv").write_text(
        f"image_name,target\n../../outside/secret,0\n{tmp_path}/outside/secret.jpg,0\nimages/a.jpg,1\n"
    )
    found = read_as("csv", tmp_path / "set")
    # The two are one name; it is found nowhere.
    assert [(row.image_name, row.file is None) for row in found.rows] == [("secret", True), ("a", False)]


@pytest.mark.parametrize(
    "folder",
    [
        "melanoma-external-malignant-256/train",
        "Melanoma Skin Cancer Nevi and Moles",
        "melanoma_cancer_dataset/unsorted",
    ],
)
def test_a_folder_above_or_alike_means_nothing(
    folder: str, tmp_path: Path, images: Callable[..., None]
) -> None:
    images(f"set/{folder}", "a.jpg")
    images("set/nevus", "b.jpg")
    found = read_as("folder", tmp_path / "set")
    assert [row.image_name for row in found.rows] == ["nevus/b"]
    assert [refusal.reason for refusal in found.refusals] == ["no_label"]


def test_not_melanoma_is_understood(tmp_path: Path, images: Callable[..., None]) -> None:
    for folder in ("Melanoma", "NotMelanoma"):
        images(f"set/{folder}", "a.jpg")
    assert {row.image_name: row.target for row in read_as("folder", tmp_path / "set").rows} == {
        "Melanoma/a": 1,
        "NotMelanoma/a": 0,
    }


def test_links_to_folders_are_followed(tmp_path: Path, images: Callable[..., None]) -> None:
    images("elsewhere", "a.jpg", "b.jpg")
    images("set/nv", "c.jpg")
    (tmp_path / "set" / "mel").symlink_to(tmp_path / "elsewhere")
    assert sorted(row.target for row in read_as("folder", tmp_path / "set").rows) == [0, 1, 1]
    (tmp_path / "set" / "metadata.csv").write_text("image_name,target\na,1\nc,0\n")
    assert all(row.file for row in read_as("csv", tmp_path / "set").rows)
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "set")
    with pytest.raises(IngestError, match="is a link into a folder that holds it"):
        read_as("csv", tmp_path / "set")


def test_a_folder_that_cannot_be_read_is_an_error(
    tmp_path: Path, images: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    images("set/nv", "c.jpg")
    images("set/mel", "d.jpg")
    scan = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("mel"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    # Root may read every folder, so the refusal is played.
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(IngestError, match=r"set/mel cannot be read: Permission denied"):
        read_as("folder", tmp_path / "set")


def test_names_in_other_case_or_unicode_form_are_found(tmp_path: Path, images: Callable[..., None]) -> None:
    images("images", "Fl\u00e4che.JPG", "two.jpg")
    (tmp_path / "metadata.csv").write_text("image_name,target\nfla\u0308che.jpg,1\nTWO,0\n")
    assert all(row.file for row in read_as("csv", tmp_path).rows)


def test_folders_of_class_numbers_stop_ingest(tmp_path: Path, images: Callable[..., None]) -> None:
    for number in range(7):
        images(f"set/train/{number}", "a.jpg")
    with pytest.raises(IngestError, match=r"are class numbers \(0, 1, 2, 3, 4, 5, 6\)"):
        read_as("folder", tmp_path / "set")
    images("patients/nevus/0", "a.jpg")
    images("patients/nevus/1", "b.jpg")
    found = read_as("folder", tmp_path / "patients")
    assert [refusal.reason for refusal in found.refusals] == ["no_label"] * 2
    images("two/0", "a.jpg")
    images("two/1", "b.jpg")
    assert sorted(row.target for row in read_as("folder", tmp_path / "two").rows) == [0, 1]


@pytest.mark.parametrize("beside", ["melanoma", "bcc", "non-neoplastic"])
def test_malignant_beside_a_third_class_may_be_a_carcinoma(
    beside: str, tmp_path: Path, images: Callable[..., None]
) -> None:
    for folder in ("benign", "malignant", beside):
        images(f"set/{folder}", "a.jpg")
    found = read_as("folder", tmp_path / "set")
    assert "malignant/a" not in {row.image_name for row in found.rows}
    assert found.labels["malignant/", "no_label"] == 1
    assert {row.target for row in found.rows if row.image_name == "melanoma/a"} <= {1}


def test_masks_beside_the_pictures_are_no_pictures(tmp_path: Path, images: Callable[..., None]) -> None:
    images("set/mel", "ISIC_1.jpg", "ISIC_1_superpixels.png", "ISIC_1_segmentation.png")
    images("set/nv", "ISIC_2.jpg")
    found = read_as("folder", tmp_path / "set")
    assert sorted(row.image_name for row in found.rows) == ["mel/ISIC_1", "nv/ISIC_2"]
    assert [refusal.reason for refusal in found.refusals] == ["not_an_image"] * 2


def test_a_name_that_several_folders_have_is_not_guessed(tmp_path: Path, images: Callable[..., None]) -> None:
    images("clinic/a", "001.jpg", "ISIC_1.jpg")
    images("clinic/b", "001.jpg", "ISIC_1.jpg", "002.jpg")
    (tmp_path / "t.csv").write_text("image_name,target\n001,1\n002,0\nISIC_1,1\nb/001.jpg,0\n")
    source = Source(kind="csv", path=tmp_path / "t.csv", images=tmp_path / "clinic")
    rows = read(source, IngestConfig(sources=(source,))).rows
    where = {row.line: row.file and row.file.removeprefix(f"{tmp_path}/clinic/") for row in rows}
    # An archive's name is unique: resized copies of one picture lie in several folders.
    assert where == {2: None, 3: "b/002.jpg", 4: "a/ISIC_1.jpg", 5: "b/001.jpg"}


def test_of_two_names_that_differ_in_case_the_written_one_is_taken(
    tmp_path: Path, images: Callable[..., None]
) -> None:
    images("images", "IMG_1.jpg", "img_1.jpg")
    (tmp_path / "metadata.csv").write_text("image_name,target\nimg_1,1\nIMG_1.jpg,0\n")
    rows = read_as("csv", tmp_path).rows
    assert [Path(row.file or "").name for row in rows] == ["img_1.jpg", "IMG_1.jpg"]
