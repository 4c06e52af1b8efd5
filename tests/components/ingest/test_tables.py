"""Any other table: its columns, labels and ages, and what is refused of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.ingest.errors import IngestError
from components.ingest.layouts.table import age
from components.ingest.source import detect
from tests.support.layouts import read_as


def test_positive_diagnoses_overrule_the_target_column(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(
        "image_name,diagnosis,target\na,bcc,0\nb,nv,0\nc,melanoma,1\nd,,0\ne,,1\n"
    )
    found = read_as("csv", tmp_path, positive_diagnoses=("mel", "basal cell carcinoma"))
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
    found = read_as("csv", tmp_path)
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
        read_as("csv", tmp_path)


def test_excel_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes("\ufeffimage_name;target\r\na;1\r\nb;0\r\n".encode())
    assert [(row.image_name, row.target) for row in read_as("csv", tmp_path).rows] == [("a", 1), ("b", 0)]


def test_a_table_without_labels_names_predict_batch(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("image_name,patient_id,sex\na,b,male\n")
    with pytest.raises(IngestError, match="melanosizer predict-batch --images"):
        read_as("siim2020", tmp_path / "test.csv")


def test_an_unknown_table_names_its_columns_and_the_closest_layout(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image_id,kind,remark\na,b,c\n")
    with pytest.raises(IngestError, match=r"but image_id, kind, remark \(closest is ham10000, without dx\)"):
        detect(tmp_path / "t.csv")


def test_numbers_of_classes_stop_ingest(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image_name,label\n" + "".join(f"i{n},{n % 7}\n" for n in range(30)))
    with pytest.raises(IngestError, match=r"'label' holds class numbers \(0, 1, 2, 3, 4, 5, 6\)"):
        read_as("csv", tmp_path / "t.csv")


@pytest.mark.parametrize("codes", [(1, 2), (1, -1), (0, 1, 2)])
@pytest.mark.parametrize("column", ["label", "target", "melanoma", "malignant"])
def test_two_codes_are_no_yes_and_no_unless_they_are_0_and_1(
    tmp_path: Path, column: str, codes: tuple[int, ...]
) -> None:
    rows = "".join(f"i{n},{codes[n % len(codes)]}\n" for n in range(12))
    (tmp_path / "t.csv").write_text(f"image_name,{column}\n{rows}")
    with pytest.raises(IngestError, match=f"'{column}' holds class numbers"):
        read_as("csv", tmp_path / "t.csv")


def test_headers_with_spaces_or_hyphens_are_understood(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Image Name,Patient-ID,Melanoma\na,P,1\nb,P,no\n")
    found = read_as("csv", tmp_path / "t.csv")
    assert [row.target for row in found.rows] == [1, 0]
    assert found.rows[0].patient
    # PH2's crosses are no yes and no.
    (tmp_path / "t.csv").write_text("Image Name,Common Nevus,Atypical Nevus,Melanoma\na,X,,\nb,,,X\n")
    assert {refusal.reason for refusal in read_as("csv", tmp_path / "t.csv").refusals} == {"no_label"}


def test_label_columns_that_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "image_name,target,label,benign_malignant\na,1,0,malignant\nb,0,0,benign\nc,,Malignant,\nd,,,malignant\n"
        "e,1,Malignant,malignant\n"
    )
    found = read_as("csv", tmp_path / "t.csv")
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


def test_every_column_of_diagnoses_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "image_name,diagnosis,dx,label\na,nevus,mel,\nb,nevus,nv,melanoma\nc,nevus,nv,mole\nd,,mel,\ne,melanoma,,nevus\n"
    )
    found = read_as("csv", tmp_path / "t.csv")
    assert [(row.image_name, row.target) for row in found.rows] == [("c", 0), ("d", 1)]
    assert {refusal.reason for refusal in found.refusals} == {"label_conflict"}
