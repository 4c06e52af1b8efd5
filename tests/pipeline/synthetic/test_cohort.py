from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from core.errors import UsageError
from pipeline.commands.synth import synth
from pipeline.synthetic import outline
from pipeline.synthetic.cohort import OccupiedError, SynthConfig, synthesise

COLUMNS = (
    "image_name", "patient_id", "lesion_id", "diagnosis", "age_approx", "sex", "anatom_site", "target", "asymmetry",
    "border_irregularity", "colours", "diameter_mm", "area_share", "mm_per_pixel", "atypia", "skin_type", "hairs",
)  # fmt: skip

Rows = list[dict[str, str]]


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures: what is learnt from them is in their shapes, not in their pixels."""
    return synthesise(SynthConfig(images=400, size=96), tmp_path_factory.mktemp("synth") / "cohort").parent


@pytest.fixture(scope="session")
def rows(cohort: Path) -> Rows:
    with (cohort / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_has_its_row_and_its_mask(cohort: Path, rows: Rows) -> None:
    assert tuple(rows[0]) == COLUMNS
    names = {row["image_name"] for row in rows}
    assert len(names) == 400
    assert {path.stem for path in (cohort / "images").glob("*.jpg")} == names
    assert {path.stem for path in (cohort / "masks").glob("*.png")} == names
    image = cv2.imread(str(cohort / "images" / f"{rows[0]['image_name']}.jpg"))
    mask = cv2.imread(str(cohort / "masks" / f"{rows[0]['image_name']}.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (96, 96, 3)
    assert mask.shape == (96, 96)
    assert set(np.unique(mask)) == {0, 255}


def test_the_cohort_looks_like_the_archives(rows: Rows) -> None:
    assert sum(row["target"] == "1" for row in rows) == 36
    assert all((row["diagnosis"] == "mel") == (row["target"] == "1") for row in rows)
    lesions = Counter(row["patient_id"] for row in rows)
    assert max(lesions.values()) > 1
    assert len(lesions) < 240
    assert len({row["lesion_id"] for row in rows}) == 400
    by_patient = {(row["patient_id"], row["sex"]) for row in rows if row["sex"]}
    assert len(by_patient) == len({patient for patient, _ in by_patient})
    assert all(row["age_approx"] == "" or 10 <= float(row["age_approx"]) <= 90 for row in rows)
    unknown = sum(row[name] == "" for row in rows for name in ("age_approx", "sex", "anatom_site"))
    assert 10 < unknown < 80


def test_the_known_traits_are_those_of_the_mask(cohort: Path, rows: Rows) -> None:
    for row in rows[:50]:
        mask = cv2.imread(str(cohort / "masks" / f"{row['image_name']}.png"), cv2.IMREAD_UNCHANGED)
        measured = outline.measure(np.asarray(mask, np.uint8))
        assert measured.asymmetry == pytest.approx(float(row["asymmetry"]), abs=1e-3)
        assert measured.border_irregularity == pytest.approx(float(row["border_irregularity"]), abs=1e-3)
        millimetres = measured.diameter * float(row["mm_per_pixel"])
        assert millimetres == pytest.approx(float(row["diameter_mm"]), abs=0.02)
        assert measured.area_share == pytest.approx(np.asarray(mask).mean() / 255, abs=1e-3)


def _auc(features: np.ndarray, target: np.ndarray) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    scores = cross_val_predict(model, features, target, cv=5, method="predict_proba")[:, 1]
    return float(roc_auc_score(target, scores))


def test_mean_colour_does_not_tell_melanoma_but_shape_does(cohort: Path, rows: Rows) -> None:
    target = np.array([int(row["target"]) for row in rows])
    images = [cv2.imread(str(cohort / "images" / f"{row['image_name']}.jpg")) for row in rows]
    assert _auc(np.array([image.mean((0, 1)) for image in images]), target) < 0.75
    names = ("asymmetry", "border_irregularity", "diameter_mm")
    known = np.array([[*(float(row[name]) for name in names), len(row["colours"].split())] for row in rows])
    assert _auc(known, target) > 0.85


def _digest(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_seed_gives_the_same_bytes_on_any_number_of_threads(tmp_path: Path) -> None:
    one = synthesise(SynthConfig(images=12, size=96, workers=1), tmp_path / "one").parent
    three = synthesise(SynthConfig(images=12, size=96, workers=3), tmp_path / "three").parent
    assert _digest(one) == _digest(three)
    other = synthesise(SynthConfig(images=12, size=96, seed=1), tmp_path / "other").parent
    assert _digest(other) != _digest(one)


def test_a_disc_and_a_half_are_measured_right() -> None:
    disc = np.zeros((200, 200), np.uint8)
    cv2.circle(disc, (90, 110), 60, 255, -1)
    measured = outline.measure(disc)
    assert measured.asymmetry < 0.02
    assert measured.border_irregularity < 0.03
    assert measured.diameter == pytest.approx(121, abs=2)
    notched = disc.copy()
    notched[60:110, 90:] = 0
    assert outline.measure(notched).asymmetry > 0.15
    assert outline.measure(notched).border_irregularity > 0.3
    assert outline.measure(np.zeros((9, 9), np.uint8)).diameter == 0


def test_a_users_folder_is_never_replaced_unasked(tmp_path: Path) -> None:
    config = SynthConfig(images=10, size=96, masks=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_bytes(b"holiday")
    with pytest.raises(OccupiedError, match="was not written by synth"):
        synthesise(config, tmp_path / "mine")
    assert (tmp_path / "mine" / "photo.jpg").exists()
    synthesise(config, tmp_path / "mine", force=True)
    again = synthesise(config, tmp_path / "mine")
    assert not (again.parent / "masks").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_the_command_says_what_it_made(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command("synth")(synth)
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "x"), "--images", "11", "--size", "96"])
    assert result.exit_code == 0, result.output
    assert "melanosizer run --data" in result.output
    refused = CliRunner().invoke(app, ["--out", str(tmp_path / "x"), "--images", "3"])
    assert isinstance(refused.exception, UsageError)
    assert "--images 3: Input should be greater than or equal to 10" in str(refused.exception)
    assert "Example: melanosizer synth --images" in " ".join(
        CliRunner().invoke(app, ["--help"]).output.split()
    )
