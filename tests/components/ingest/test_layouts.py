from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from components.ingest import picture
from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.layouts.found import Found
from components.ingest.layouts.read import read
from components.ingest.layouts.table import age
from components.ingest.source import Source, detect
from core.images.decode import ImageRefusedError


@pytest.fixture
def images(tmp_path: Path) -> Callable[..., None]:
    def make(folder: str, *names: str) -> None:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            Image.new("RGB", (60, 60)).save(tmp_path / folder / name)

    return make


def _read(kind: str, path: Path, **values: Any) -> Found:
    source = Source.model_validate({"kind": kind, "path": path})
    return read(source, IngestConfig.model_validate({"sources": (source,), **values}))


def test_siim2020(tmp_path: Path, images: Callable[..., None]) -> None:
    (tmp_path / "train.csv").write_text(
        "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
        "ISIC_1,IP_7,male,45.0,head/neck,unknown,benign,0\n"
        "ISIC_2,IP_7,male,45.0,upper extremity,nevus,benign,0\n"
        "ISIC_3,IP_8,female,,,melanoma,malignant,1\n"
    )
    images("jpeg/train", "ISIC_1.jpg", "ISIC_2.jpg", "ISIC_3.jpg")
    found = _read("siim2020", tmp_path)
    first, second, third = found.rows
    assert [row.target for row in found.rows] == [0, 0, 1]
    assert [row.diagnosis for row in found.rows] == [None, "nv", "mel"]
    assert first.patient == second.patient != third.patient
    assert first.patient is not None
    assert "IP_7" not in first.patient
    assert (first.site, first.age, first.sex) == ("head/neck", 45.0, "male")
    assert (third.site, third.age) == (None, None)
    assert first.file == str(tmp_path / "jpeg" / "train" / "ISIC_1.jpg")
    assert found.unlisted == 0


def test_isic2019(tmp_path: Path, images: Callable[..., None]) -> None:
    (tmp_path / "ISIC_2019_Training_GroundTruth.csv").write_text(
        "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"
        "ISIC_1,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_2_downsampled,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_3,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0\n"
        "ISIC_4,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_5,1.000,0,0,0,0,0,0,0,1\n"
    )
    (tmp_path / "ISIC_2019_Training_Metadata.csv").write_text(
        "image,age_approx,anatom_site_general,lesion_id,sex\n"
        "ISIC_1,55.0,anterior torso,HAM_0001,female\n"
        "ISIC_2_downsampled,,,,\n"
    )
    images("ISIC_2019_Training_Input", "ISIC_1.jpg", "ISIC_2_downsampled.jpg")
    found = _read("isic2019", tmp_path)
    assert [(row.diagnosis, row.target) for row in found.rows] == [("mel", 1), ("akiec", 0)]
    assert found.rows[0].lesion
    assert found.rows[1].lesion is None
    assert sorted((refusal.line, refusal.reason) for refusal in found.refusals) == [
        (4, "no_label"),
        (5, "bad_value"),
        (6, "bad_value"),
    ]


def test_the_same_lesion_is_one_group_in_ham10000_and_isic2019(
    tmp_path: Path, images: Callable[..., None]
) -> None:
    (tmp_path / "HAM10000_metadata.csv").write_text(
        "lesion_id,image_id,dx,dx_type,age,sex,localization\nHAM_0001,ISIC_9,mel,histo,80.0,male,scalp\n"
    )
    (tmp_path / "truth.csv").write_text("image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC\nISIC_1,1,0,0,0,0,0,0,0\n")
    (tmp_path / "metadata_2019.csv").write_text("image,lesion_id\nISIC_1,HAM_0001\n")
    images("HAM10000_images_part_2", "ISIC_9.jpg")
    ham = _read("ham10000", tmp_path).rows[0]
    other = _read("isic2019", tmp_path / "truth.csv").rows[0]
    assert ham.lesion == other.lesion
    assert (ham.diagnosis, ham.site, ham.age) == ("mel", "scalp", 80.0)


def test_isic_archive(tmp_path: Path, images: Callable[..., None]) -> None:
    (tmp_path / "metadata.csv").write_text(
        "isic_id,attribution,age_approx,anatom_site_general,diagnosis_1,diagnosis_2,diagnosis_3,patient_id,sex\n"
        "ISIC_1,a,60,anterior torso,Malignant,Malignant melanocytic proliferations,Melanoma Invasive,IP_1,male\n"
        "ISIC_2,a,60,,Benign,Benign melanocytic proliferations,Nevus,IP_1,male\n"
        'ISIC_3,a,60,,Malignant,Malignant melanocytic proliferations,"Melanoma, NOS",IP_2,male\n'
        "ISIC_4,a,60,,Benign,,,IP_2,male\n"
        "ISIC_5,a,60,,Malignant,,,IP_2,male\n"
    )
    found = _read("isic-archive", tmp_path)
    assert [(row.diagnosis, row.target) for row in found.rows] == [
        ("mel", 1),
        ("nv", 0),
        ("mel", 1),
        (None, 0),
    ]
    # Malignant alone may be a carcinoma.
    assert [(refusal.line, refusal.reason) for refusal in found.refusals] == [(6, "no_label")]


def test_isic_archive_with_its_deep_levels_empty(tmp_path: Path, images: Callable[..., None]) -> None:
    proliferations = "Malignant,Malignant melanocytic proliferations (Melanoma)"
    (tmp_path / "metadata.csv").write_text(
        "isic_id,diagnosis_1,diagnosis_2,diagnosis_3,diagnosis_4,Diagnosis_5\n"
        f"ISIC_1,{proliferations},Melanoma Invasive,,\n"
        f'ISIC_2,{proliferations},Melanoma Invasive,"Melanoma Invasive, Superficial spreading",\n'
        'ISIC_3,Benign,Benign melanocytic proliferations,Nevus,"Nevus, Atypical",\n'
        "ISIC_4,Benign,Benign soft tissue proliferations,Scar,,\n"
        "ISIC_5,Malignant,Malignant epidermal proliferations,,,\n"
        f"ISIC_6,{proliferations},,,\n"
    )
    found = _read("isic-archive", tmp_path)
    assert [(row.image_name, row.diagnosis, row.target) for row in found.rows] == [
        ("ISIC_1", "mel", 1),
        ("ISIC_2", "mel", 1),
        ("ISIC_3", "nv", 0),
        ("ISIC_4", "scar", 0),
        ("ISIC_5", "malignant epidermal proliferations", 0),
        ("ISIC_6", "mel", 1),
    ]


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
    found = _read("csv", table)
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
    found = _read("folder", tmp_path / "set")
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
    labels = {row.diagnosis: row.target for row in _read("folder", tmp_path / "set").rows}
    assert labels == {"mel": 1, "bcc": 0, "nv": 0}
    wider = _read("folder", tmp_path / "set", positive_diagnoses=("mel", "bcc"))
    assert {row.diagnosis: row.target for row in wider.rows} == {"mel": 1, "bcc": 1, "nv": 0}


def test_positive_diagnoses_overrule_the_target_column(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(
        "image_name,diagnosis,target\na,bcc,0\nb,nv,0\nc,melanoma,1\nd,,0\ne,,1\n"
    )
    found = _read("csv", tmp_path, positive_diagnoses=("mel", "basal cell carcinoma"))
    assert [(row.image_name, row.target) for row in found.rows] == [("a", 1), ("b", 0), ("c", 1), ("e", 1)]
    # No melanoma, but perhaps one of the carcinomas that count.
    assert [(refusal.image_name, refusal.reason) for refusal in found.refusals] == [("d", "no_label")]


def test_broken_rows_are_refused_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(
        "image_name,target,age_approx,sex\n"
        "good,0,45.0,M\n"
        "short,0\n"
        "long,0,45,male,extra\n"
        ",1,45,male\n"
        "two,2,45,male\n"
        "old,0,450,male\n"
        "word,0,old,male\n"
        "nothing,,45,male\n"
        "good,0,45.0,M\n"
        "torn,0,,\n"
        "torn,1,,\n"
        "unknowns,benign,NaN,unknown\n"
    )
    found = _read("csv", tmp_path)
    # What is not an age is left unknown, it is not a reason to lose the image.
    assert [(row.image_name, row.target, row.age, row.sex) for row in found.rows] == [
        ("good", 0, 45.0, "male"),
        ("old", 0, None, "male"),
        ("word", 0, None, "male"),
        ("unknowns", 0, None, None),
    ]
    assert sorted((refusal.line, refusal.reason) for refusal in found.refusals) == [
        (3, "bad_row"),
        (4, "bad_row"),
        (5, "bad_row"),
        (6, "bad_value"),
        (9, "no_label"),
        (10, "duplicate_row"),
        (11, "label_conflict"),
        (12, "label_conflict"),
    ]
    assert found.rows_read == 12


def test_a_table_cannot_reach_outside_its_images(tmp_path: Path, images: Callable[..., None]) -> None:
    images("set/images", "a.jpg")
    images("outside", "secret.jpg")
    (tmp_path / "set" / "metadata.csv").write_text(
        f"image_name,target\n../../outside/secret,0\n{tmp_path}/outside/secret.jpg,0\nimages/a.jpg,1\n"
    )
    found = _read("csv", tmp_path / "set")
    # The two are one name; it is found nowhere.
    assert [(row.image_name, row.file is None) for row in found.rows] == [("secret", True), ("a", False)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"fruit,target\napple,1\n", "no column of image names: expected one of image_name, isic_id"),
        (b"image_name,age\na,1\n", "has no label: expected one of target"),
        (b"image_name,target\n", "it has no rows"),
        (b"image_name,target\n\x81\x8d,1\n", "is not UTF-8, UTF-16 or Windows-1252"),
        (b'image_name,target\n"' + b"x" * 200_000 + b'",1\n', "not a table"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "metadata.csv").write_bytes(content)
    with pytest.raises(IngestError, match=said):
        _read("csv", tmp_path)


def test_excel_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes("\ufeffimage_name;target\r\na;1\r\nb;0\r\n".encode())
    assert [(row.image_name, row.target) for row in _read("csv", tmp_path).rows] == [("a", 1), ("b", 0)]


def test_isic_2016_has_no_header_and_malignant_is_melanoma(
    tmp_path: Path, images: Callable[..., None]
) -> None:
    table = tmp_path / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv"
    table.write_text("ISIC_0000000,benign\nISIC_0000002,malignant\n")
    images(".", "ISIC_0000000.jpg", "ISIC_0000002.jpg")
    assert detect(table).kind == "isic2016"
    assert [(row.line, row.target) for row in _read("isic2016", tmp_path).rows] == [(1, 0), (2, 1)]
    table.write_text("ISIC_0000000,0.0\nISIC_0000002,1.0\n")
    assert [row.target for row in _read("isic2016", table).rows] == [0, 1]


def test_isic_2017(tmp_path: Path) -> None:
    table = tmp_path / "ISIC-2017_Training_Part3_GroundTruth.csv"
    table.write_text(
        "image_id,melanoma,seborrheic_keratosis\nISIC_1,1.0,0.0\nISIC_2,0.0,1.0\nISIC_3,0.0,0.0\n"
    )
    assert detect(table).kind == "isic2017"
    assert [(row.target, row.diagnosis) for row in _read("isic2017", table).rows] == [
        (1, None),
        (0, "bkl"),
        (0, None),
    ]


def test_isic_2018(tmp_path: Path) -> None:
    table = tmp_path / "ISIC2018_Task3_Training_GroundTruth.csv"
    table.write_text(
        "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nISIC_1,1.0,0,0,0,0,0,0\nISIC_2,0,0,0,1.0,0,0,0\nISIC_3,0,0.5,0,0,0,0,0\n"
    )
    assert detect(table).kind == "isic2018"
    found = _read("isic2018", table)
    assert [(row.target, row.diagnosis) for row in found.rows] == [(1, "mel"), (0, "akiec")]
    assert [(refusal.line, refusal.reason) for refusal in found.refusals] == [(4, "bad_value")]


def test_short_rows_of_isic_2019s_metadata_lose_no_image(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC\nISIC_1,1,0,0,0,0,0,0,0\n")
    (tmp_path / "Metadata.csv").write_text("image,age_approx,sex\nISIC_1,45\n")
    (row,) = _read("isic2019", tmp_path / "truth.csv").rows
    assert (row.target, row.age, row.sex) == (1, None, None)


def test_in_isic_2024_the_target_is_malignancy(tmp_path: Path, images: Callable[..., None]) -> None:
    melanoma = "Malignant::Malignant melanocytic proliferations (Melanoma)::Melanoma Invasive"
    (tmp_path / "train-metadata.csv").write_text(
        "isic_id,target,patient_id,age_approx,iddx_full,iddx_1,iddx_2,iddx_3,iddx_4,iddx_5\n"
        "ISIC_1,0,IP_1,60,Benign,Benign,,,,\n"
        "ISIC_2,1,IP_1,60,x,Malignant,Malignant adnexal epithelial proliferations - Follicular,"
        '"Basal cell carcinoma","Basal cell carcinoma, Nodular",\n'
        f"ISIC_3,1,IP_2,60,{melanoma},Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma Invasive,,\n"
        "ISIC_4,0,IP_3,60,x,Indeterminate,Indeterminate melanocytic proliferations,,,\n"
        "ISIC_5,1,IP_3,60,x,Benign,,,,\n"
    )
    with h5py.File(tmp_path / "train-image.hdf5", "w") as file:
        for n in range(1, 4):
            file[f"ISIC_{n}"] = np.void(b"\xff\xd8picture" * n)
    assert detect(tmp_path).kind == "isic2024"
    found = _read("isic2024", tmp_path)
    assert [(row.image_name, row.target, row.diagnosis) for row in found.rows] == [
        ("ISIC_1", 0, None),
        ("ISIC_2", 0, "bcc"),
        ("ISIC_3", 1, "mel"),
    ]
    assert {refusal.image_name: refusal.reason for refusal in found.refusals} == {
        "ISIC_4": "no_label",
        "ISIC_5": "label_conflict",
    }
    assert found.rows[0].file is not None
    assert picture.read(found.rows[1].file or "", 1000) == b"\xff\xd8picture" * 2
    wider = _read("isic2024", tmp_path, positive_diagnoses=("malignant",))
    assert [row.target for row in wider.rows] == [0, 1, 1, 0]


def test_pad_ufes_and_derm7pt_and_hams_own_table(tmp_path: Path, images: Callable[..., None]) -> None:
    (tmp_path / "metadata.csv").write_text(
        "patient_id,lesion_id,age,gender,region,diagnostic,img_id\n"
        "PAT_1,7,55,FEMALE,NECK,MEL,PAT_1_7_1.png\nPAT_2,8,8,,FACE,NEV,PAT_2_8_1.png\n"
    )
    images("images/imgs_part_1", "PAT_1_7_1.png", "PAT_2_8_1.png")
    assert detect(tmp_path).kind == "pad-ufes"
    rows = _read("pad-ufes", tmp_path).rows
    assert [(row.target, row.diagnosis, row.sex, row.site) for row in rows] == [
        (1, "mel", "female", "neck"),
        (0, "nv", None, "face"),
    ]
    assert all(row.file for row in rows)
    derm = tmp_path / "derm"
    (derm / "meta").mkdir(parents=True)
    (derm / "meta" / "meta.csv").write_text(
        "case_num,diagnosis,seven_point_score,location,sex,clinic,derm\n"
        "1,melanoma (0.76 to 1.5 mm),1,back,male,NEL/Nel026.jpg,NEL/Nel025.jpg\n2,clark nevus,0,arm,male,A/b.jpg,A/c.jpg\n"
    )
    images("derm/images/NEL", "Nel025.jpg", "Nel026.jpg")
    assert detect(derm / "meta" / "meta.csv").kind == "derm7pt"
    rows = _read("derm7pt", derm).rows
    assert [(row.image_name, row.target, row.diagnosis) for row in rows] == [
        ("Nel025", 1, "mel"),
        ("c", 0, "nv"),
    ]
    assert rows[0].file == str(derm / "images" / "NEL" / "Nel025.jpg")
    tab = tmp_path / "HAM10000_metadata.tab"
    tab.write_text('lesion_id\timage_id\tdx\tage\n"HAM_1"\t"ISIC_1"\t"mel"\t80.0\n')
    assert detect(tab).kind == "ham10000"
    assert [(row.target, row.age) for row in _read("ham10000", tab).rows] == [(1, 80.0)]


def test_a_table_without_labels_names_predict_batch(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("image_name,patient_id,sex\na,b,male\n")
    with pytest.raises(IngestError, match="melanosizer predict-batch --images"):
        _read("siim2020", tmp_path / "test.csv")


def test_an_unknown_table_names_its_columns_and_the_closest_layout(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image_id,kind,remark\na,b,c\n")
    with pytest.raises(IngestError, match=r"but image_id, kind, remark \(closest is ham10000, without dx\)"):
        detect(tmp_path / "t.csv")


def test_numbers_of_classes_stop_ingest(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image_name,label\n" + "".join(f"i{n},{n % 7}\n" for n in range(30)))
    with pytest.raises(IngestError, match=r"'label' holds class numbers \(0, 1, 2, 3, 4, 5, 6\)"):
        _read("csv", tmp_path / "t.csv")


@pytest.mark.parametrize("codes", [(1, 2), (1, -1), (0, 1, 2)])
@pytest.mark.parametrize("column", ["label", "target", "melanoma", "malignant"])
def test_two_codes_are_no_yes_and_no_unless_they_are_0_and_1(
    tmp_path: Path, column: str, codes: tuple[int, ...]
) -> None:
    rows = "".join(f"i{n},{codes[n % len(codes)]}\n" for n in range(12))
    (tmp_path / "t.csv").write_text(f"image_name,{column}\n{rows}")
    with pytest.raises(IngestError, match=f"'{column}' holds class numbers"):
        _read("csv", tmp_path / "t.csv")


def test_headers_with_spaces_or_hyphens_are_understood(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Image Name,Patient-ID,Melanoma\na,P,1\nb,P,no\n")
    found = _read("csv", tmp_path / "t.csv")
    assert [row.target for row in found.rows] == [1, 0]
    assert found.rows[0].patient
    # PH2's crosses are no yes and no.
    (tmp_path / "t.csv").write_text("Image Name,Common Nevus,Atypical Nevus,Melanoma\na,X,,\nb,,,X\n")
    assert {refusal.reason for refusal in _read("csv", tmp_path / "t.csv").refusals} == {"no_label"}


def test_label_columns_that_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "image_name,target,label,benign_malignant\na,1,0,malignant\nb,0,0,benign\nc,,Malignant,\nd,,,malignant\n"
        "e,1,Malignant,malignant\n"
    )
    found = _read("csv", tmp_path / "t.csv")
    assert [(row.image_name, row.target) for row in found.rows] == [("b", 0), ("e", 1)]
    # Malignant means the same in either column.
    assert {refusal.image_name: refusal.reason for refusal in found.refusals} == {
        "a": "label_conflict",
        "c": "no_label",
        "d": "no_label",
    }
    assert found.labels["target=0, label=0, benign_malignant=benign", "0"] == 1


@pytest.mark.parametrize(
    ("text", "years"),
    [("85+", 85), ("45Y", 45), ("50-55", 52.5), ("75,0", 75), ("45.0", 45), ("0", 0), ("old", None), ("450", None),
     ("", None), ("-3", None), ("nan", None), ("inf", None)],
)  # fmt: skip
def test_ages_are_read_or_left_unknown(text: str, years: float | None) -> None:
    assert age(text) == years


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
    found = _read("folder", tmp_path / "set")
    assert [row.image_name for row in found.rows] == ["nevus/b"]
    assert [refusal.reason for refusal in found.refusals] == ["no_label"]


def test_not_melanoma_is_understood(tmp_path: Path, images: Callable[..., None]) -> None:
    for folder in ("Melanoma", "NotMelanoma"):
        images(f"set/{folder}", "a.jpg")
    assert {row.image_name: row.target for row in _read("folder", tmp_path / "set").rows} == {
        "Melanoma/a": 1,
        "NotMelanoma/a": 0,
    }


def test_links_to_folders_are_followed(tmp_path: Path, images: Callable[..., None]) -> None:
    images("elsewhere", "a.jpg", "b.jpg")
    images("set/nv", "c.jpg")
    (tmp_path / "set" / "mel").symlink_to(tmp_path / "elsewhere")
    assert sorted(row.target for row in _read("folder", tmp_path / "set").rows) == [0, 1, 1]
    (tmp_path / "set" / "metadata.csv").write_text("image_name,target\na,1\nc,0\n")
    assert all(row.file for row in _read("csv", tmp_path / "set").rows)
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "set")
    with pytest.raises(IngestError, match="is a link into a folder that holds it"):
        _read("csv", tmp_path / "set")


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
        _read("folder", tmp_path / "set")


def test_names_in_other_case_or_unicode_form_are_found(tmp_path: Path, images: Callable[..., None]) -> None:
    images("images", "Fl\u00e4che.JPG", "two.jpg")
    (tmp_path / "metadata.csv").write_text("image_name,target\nfla\u0308che.jpg,1\nTWO,0\n")
    assert all(row.file for row in _read("csv", tmp_path).rows)


def test_every_column_of_diagnoses_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "image_name,diagnosis,dx,label\na,nevus,mel,\nb,nevus,nv,melanoma\nc,nevus,nv,mole\nd,,mel,\ne,melanoma,,nevus\n"
    )
    found = _read("csv", tmp_path / "t.csv")
    assert [(row.image_name, row.target) for row in found.rows] == [("c", 0), ("d", 1)]
    assert {refusal.reason for refusal in found.refusals} == {"label_conflict"}


def test_the_archives_target_is_malignancy_in_a_table_cut_short(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("isic_id,target,patient_id\nISIC_1,1,IP_1\nISIC_2,0,IP_2\n")
    for kind in ("csv", detect(tmp_path / "t.csv").kind):
        found = _read(kind, tmp_path / "t.csv")
        assert [(row.image_name, row.target) for row in found.rows] == [("ISIC_2", 0)]
        assert [(refusal.image_name, refusal.reason) for refusal in found.refusals] == [
            ("ISIC_1", "no_label")
        ]


def test_ddi_and_bcn20000_and_fitzpatrick17k(tmp_path: Path) -> None:
    (tmp_path / "ddi.csv").write_text(
        "DDI_ID,DDI_file,skin_tone,malignant,disease\n1,000001.png,56,True,melanoma-in-situ\n"
        "2,000002.png,12,True,basal-cell-carcinoma\n3,000003.png,12,False,melanocytic-nevi\n4,000004.png,12,False,melanoma\n"
    )
    found = _read("csv", tmp_path / "ddi.csv")
    assert [(row.image_name, row.target) for row in found.rows] == [
        ("000001", 1),
        ("000002", 0),
        ("000003", 0),
    ]
    assert [refusal.reason for refusal in found.refusals] == ["label_conflict"]
    (tmp_path / "bcn.csv").write_text(
        "bcn_filename,age_approx,diagnosis,lesion_id\nBCN_1.jpg,55.0,MEL,BCN_7\nBCN_2.jpg,,AK,BCN_8\n"
    )
    assert [row.target for row in _read("csv", tmp_path / "bcn.csv").rows] == [1, 0]
    (tmp_path / "fitzpatrick17k.csv").write_text(
        "md5hash,fitzpatrick_scale,label,nine_partition_label,three_partition_label\n"
        "aa,3,malignant melanoma,malignant melanoma,malignant\nbb,2,psoriasis,inflammatory,non-neoplastic\n"
    )
    found = _read("csv", tmp_path / "fitzpatrick17k.csv")
    assert [(row.image_name, row.target) for row in found.rows] == [("aa", 1)]
    assert [refusal.reason for refusal in found.refusals] == ["no_label"]


def test_folders_of_class_numbers_stop_ingest(tmp_path: Path, images: Callable[..., None]) -> None:
    for number in range(7):
        images(f"set/train/{number}", "a.jpg")
    with pytest.raises(IngestError, match=r"are class numbers \(0, 1, 2, 3, 4, 5, 6\)"):
        _read("folder", tmp_path / "set")
    images("patients/nevus/0", "a.jpg")
    images("patients/nevus/1", "b.jpg")
    found = _read("folder", tmp_path / "patients")
    assert [refusal.reason for refusal in found.refusals] == ["no_label"] * 2
    images("two/0", "a.jpg")
    images("two/1", "b.jpg")
    assert sorted(row.target for row in _read("folder", tmp_path / "two").rows) == [0, 1]


@pytest.mark.parametrize("beside", ["melanoma", "bcc", "non-neoplastic"])
def test_malignant_beside_a_third_class_may_be_a_carcinoma(
    beside: str, tmp_path: Path, images: Callable[..., None]
) -> None:
    for folder in ("benign", "malignant", beside):
        images(f"set/{folder}", "a.jpg")
    found = _read("folder", tmp_path / "set")
    assert "malignant/a" not in {row.image_name for row in found.rows}
    assert found.labels["malignant/", "no_label"] == 1
    assert {row.target for row in found.rows if row.image_name == "melanoma/a"} <= {1}


def test_masks_beside_the_pictures_are_no_pictures(tmp_path: Path, images: Callable[..., None]) -> None:
    images("set/mel", "ISIC_1.jpg", "ISIC_1_superpixels.png", "ISIC_1_segmentation.png")
    images("set/nv", "ISIC_2.jpg")
    found = _read("folder", tmp_path / "set")
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
    rows = _read("csv", tmp_path).rows
    assert [Path(row.file or "").name for row in rows] == ["img_1.jpg", "IMG_1.jpg"]


def test_what_is_no_picture_in_an_hdf5_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "train-image.hdf5", "w") as file:
        file.create_group("ISIC_1")
    (tmp_path / "train-metadata.csv").write_text("isic_id,target,iddx_full\nISIC_1,0,Benign\n")
    (row,) = _read("isic2024", tmp_path).rows
    with pytest.raises(ImageRefusedError, match="Accessing a group"):
        picture.read(row.file or "", 1000)
