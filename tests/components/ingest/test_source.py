from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components.ingest.errors import IngestError
from components.ingest.source import KINDS, Source, detect


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_parsed(kind: str) -> None:
    assert Source.parse(f"{kind}:some/where").kind == kind


def test_options_follow_the_path() -> None:
    source = Source.parse("csv:a,b:c/meta.csv,images=x/y,name=mine")
    assert (source.path, source.images, source.title) == (Path("a,b:c/meta.csv"), Path("x/y"), "mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "isic:x",
            "the kind 'isic' is unknown; valid are siim2020, isic2016, isic2017, isic2018, isic2019, isic2024",
        ),
        ("csv", "no path; write csv:PATH"),
        ("csv:", "no path"),
        ("csv:x,pictures=y", "the option 'pictures' is unknown; valid are images, name"),
        ("csv:x,images=", "the option 'images' is empty"),
    ],
)
def test_a_wrong_source_says_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(IngestError, match=said):
        Source.parse(text)


@pytest.mark.parametrize(
    ("name", "header", "kind"),
    [
        (
            "train.csv",
            "image_name,patient_id,anatom_site_general_challenge,benign_malignant,target",
            "siim2020",
        ),
        ("ISIC_2019_Training_GroundTruth.csv", "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK", "isic2019"),
        ("HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization", "ham10000"),
        ("metadata.csv", "isic_id,attribution,age_approx,diagnosis_1,diagnosis_3", "isic-archive"),
        ("metadata.csv", "image_name,lesion_id,diagnosis,target", "csv"),
        ("anything.csv", "file;label", "csv"),
    ],
)
def test_a_folder_and_its_table_are_recognised(tmp_path: Path, name: str, header: str, kind: str) -> None:
    (tmp_path / name).write_text(header + "\n")
    assert detect(tmp_path).kind == kind
    assert detect(tmp_path / name).kind == kind


def test_folders_of_classes_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "Benign").mkdir()
    (tmp_path / "Malignant").mkdir()
    assert detect(tmp_path) == Source(kind="folder", path=tmp_path)


def test_what_is_no_data_set_says_so(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("fruit,price\n")
    with pytest.raises(
        IngestError,
        match=r"prices.csv has no columns of image names.*but fruit, price.*no sub-folders called after",
    ):
        detect(tmp_path)
    with pytest.raises(IngestError, match="does not exist"):
        detect(tmp_path / "absent")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(IngestError, match="ingested data set already"):
        detect(tmp_path)


def test_a_device_is_no_table() -> None:
    with pytest.raises(IngestError, match="is neither a file nor a folder"):
        Source(kind="csv", path=Path("/dev/null")).table()


def test_a_source_without_its_table_names_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"expected train.csv or ISIC_2020_Training_GroundTruth_v2.csv"):
        Source(kind="siim2020", path=tmp_path).table()
    with pytest.raises(IngestError, match="does not exist"):
        Source(kind="csv", path=tmp_path / "absent").table()


@pytest.mark.parametrize("kind", ["csv", "folder"])
def test_a_place_of_images_that_cannot_be_says_what_it_is(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file.txt").touch()
    (tmp_path / "folder.h5").mkdir()
    wrong = {"absent": "does not exist", "absent.h5": "does not exist", "file.txt": "is not a folder"}
    if kind != "folder":
        wrong["folder.h5"] = "is not a file"
    for name, sentence in wrong.items():
        source = Source.parse(f"{kind}:{tmp_path},images={tmp_path / name}")
        with pytest.raises(IngestError, match=f"images={tmp_path / name} {sentence}"):
            source.image_place()


def test_identifiers_are_shared_between_archives_only(tmp_path: Path) -> None:
    spaces: Callable[[str], str] = lambda kind: Source.parse(f"{kind}:{tmp_path}").id_space  # noqa: E731
    assert spaces("ham10000") == spaces("isic2019") == spaces("isic-archive") == spaces("siim2020")
    assert spaces("csv") != spaces("ham10000")
