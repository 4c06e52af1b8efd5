"""Every archive's own layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from components.ingest import picture
from components.ingest.source import detect
from core.images.decode import ImageRefusedError
from tests.support.layouts import read_as


def test_siim2020(tmp_path: Path, images: Callable[..., None]) -> None:
    (tmp_path / "train.csv").write_text(
        "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
        "ISIC_1,IP_7,male,45.0,head/neck,unknown,benign,0\n"
        "ISIC_2,IP_7,male,45.0,upper extremity,nevus,benign,0\n"
        "ISIC_3,IP_8,female,,,melanoma,malignant,1\n"
    )
    images("jpeg/train", "ISIC_1.jpg", "ISIC_2.jpg", "ISIC_3.jpg")
    found = read_as("siim2020", tmp_path)
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
    found = read_as("isic2019", tmp_path)
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
    ham = read_as("ham10000", tmp_path).rows[0]
    other = read_as("isic2019", tmp_path / "truth.csv").rows[0]
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
    found = read_as("isic-archive", tmp_path)
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
    found = read_as("isic-archive", tmp_path)
    assert [(row.image_name, row.diagnosis, row.target) for row in found.rows] == [
        ("ISIC_1", "mel", 1),
        ("ISIC_2", "mel", 1),
        ("ISIC_3", "nv", 0),
        ("ISIC_4", "scar", 0),
        ("ISIC_5", "malignant epidermal proliferations", 0),
        ("ISIC_6", "mel", 1),
    ]


def test_isic_2016_has_no_header_and_malignant_is_melanoma(
    tmp_path: Path, images: Callable[..., None]
) -> None:
    table = tmp_path / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv"
    table.write_text("ISIC_0000000,benign\nISIC_0000002,malignant\n")
    images(".", "ISIC_0000000.jpg", "ISIC_0000002.jpg")
    assert detect(table).kind == "isic2016"
    assert [(row.line, row.target) for row in read_as("isic2016", tmp_path).rows] == [(1, 0), (2, 1)]
    table.write_text("ISIC_0000000,0.0\nISIC_0000002,1.0\n")
    assert [row.target for row in read_as("isic2016", table).rows] == [0, 1]


def test_isic_2017(tmp_path: Path) -> None:
    table = tmp_path / "ISIC-2017_Training_Part3_GroundTruth.csv"
    table.write_text(
        "image_id,melanoma,seborrheic_keratosis\nISIC_1,1.0,0.0\nISIC_2,0.0,1.0\nISIC_3,0.0,0.0\n"
    )
    assert detect(table).kind == "isic2017"
    assert [(row.target, row.diagnosis) for row in read_as("isic2017", table).rows] == [
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
    found = read_as("isic2018", table)
    assert [(row.target, row.diagnosis) for row in found.rows] == [(1, "mel"), (0, "akiec")]
    assert [(refusal.line, refusal.reason) for refusal in found.refusals] == [(4, "bad_value")]


def test_short_rows_of_isic_2019s_metadata_lose_no_image(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC\nISIC_1,1,0,0,0,0,0,0,0\n")
    (tmp_path / "Metadata.csv").write_text("image,age_approx,sex\nISIC_1,45\n")
    (row,) = read_as("isic2019", tmp_path / "truth.csv").rows
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
    found = read_as("isic2024", tmp_path)
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
    wider = read_as("isic2024", tmp_path, positive_diagnoses=("malignant",))
    assert [row.target for row in wider.rows] == [0, 1, 1, 0]


def test_pad_ufes_and_derm7pt_and_hams_own_table(tmp_path: Path, images: Callable[..., None]) -> None:
    (tmp_path / "metadata.csv").write_text(
        "patient_id,lesion_id,age,gender,region,diagnostic,img_id\n"
        "PAT_1,7,55,FEMALE,NECK,MEL,PAT_1_7_1.png\nPAT_2,8,8,,FACE,NEV,PAT_2_8_1.png\n"
    )
    images("images/imgs_part_1", "PAT_1_7_1.png", "PAT_2_8_1.png")
    assert detect(tmp_path).kind == "pad-ufes"
    rows = read_as("pad-ufes", tmp_path).rows
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
    rows = read_as("derm7pt", derm).rows
    assert [(row.image_name, row.target, row.diagnosis) for row in rows] == [
        ("Nel025", 1, "mel"),
        ("c", 0, "nv"),
    ]
    assert rows[0].file == str(derm / "images" / "NEL" / "Nel025.jpg")
    tab = tmp_path / "HAM10000_metadata.tab"
    tab.write_text('lesion_id\timage_id\tdx\tage\n"HAM_1"\t"ISIC_1"\t"mel"\t80.0\n')
    assert detect(tab).kind == "ham10000"
    assert [(row.target, row.age) for row in read_as("ham10000", tab).rows] == [(1, 80.0)]


def test_the_archives_target_is_malignancy_in_a_table_cut_short(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("isic_id,target,patient_id\nISIC_1,1,IP_1\nISIC_2,0,IP_2\n")
    for kind in ("csv", detect(tmp_path / "t.csv").kind):
        found = read_as(kind, tmp_path / "t.csv")
        assert [(row.image_name, row.target) for row in found.rows] == [("ISIC_2", 0)]
        assert [(refusal.image_name, refusal.reason) for refusal in found.refusals] == [
            ("ISIC_1", "no_label")
        ]


def test_ddi_and_bcn20000_and_fitzpatrick17k(tmp_path: Path) -> None:
    (tmp_path / "ddi.csv").write_text(
        "DDI_ID,DDI_file,skin_tone,malignant,disease\n1,000001.png,56,True,melanoma-in-situ\n"
        "2,000002.png,12,True,basal-cell-carcinoma\n3,000003.png,12,False,melanocytic-nevi\n4,000004.png,12,False,melanoma\n"
    )
    found = read_as("csv", tmp_path / "ddi.csv")
    assert [(row.image_name, row.target) for row in found.rows] == [
        ("000001", 1),
        ("000002", 0),
        ("000003", 0),
    ]
    assert [refusal.reason for refusal in found.refusals] == ["label_conflict"]
    (tmp_path / "bcn.csv").write_text(
        "bcn_filename,age_approx,diagnosis,lesion_id\nBCN_1.jpg,55.0,MEL,BCN_7\nBCN_2.jpg,,AK,BCN_8\n"
    )
    assert [row.target for row in read_as("csv", tmp_path / "bcn.csv").rows] == [1, 0]
    (tmp_path / "fitzpatrick17k.csv").write_text(
        "md5hash,fitzpatrick_scale,label,nine_partition_label,three_partition_label\n"
        "aa,3,malignant melanoma,malignant melanoma,malignant\nbb,2,psoriasis,inflammatory,non-neoplastic\n"
    )
    found = read_as("csv", tmp_path / "fitzpatrick17k.csv")
    assert [(row.image_name, row.target) for row in found.rows] == [("aa", 1)]
    assert [refusal.reason for refusal in found.refusals] == ["no_label"]


def test_what_is_no_picture_in_an_hdf5_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "train-image.hdf5", "w") as file:
        file.create_group("ISIC_1")
    (tmp_path / "train-metadata.csv").write_text("isic_id,target,iddx_full\nISIC_1,0,Benign\n")
    (row,) = read_as("isic2024", tmp_path).rows
    with pytest.raises(ImageRefusedError, match="Accessing a group"):
        picture.read(row.file or "", 1000)
