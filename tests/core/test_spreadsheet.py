"""No cell of a table is a formula, and every text is found again."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from components.evaluator import predictions
from components.evaluator.predictions import Prediction
from components.ingest import dealt
from components.ingest.dealt import Dealt
from components.ingest.row import Refusal, save_refusals
from core.spreadsheet import FORMULA, cell, plain
from dashboard.readers import data_index, evidence

EVIL = [f"{first}HYPERLINK(1)" for first in FORMULA]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("text", [*EVIL, "'=1", "''=1", "ISIC_0000001", "'quoted'", "", "a=b", "'"])
def test_a_cell_is_no_formula_and_its_text_is_found_again(text: str) -> None:
    assert not cell(text).startswith(FORMULA)
    assert plain(cell(text)) == text


@pytest.mark.parametrize("value", [-1, -0.5, None, 3])
def test_a_number_stays_a_number(value: float | None) -> None:
    assert cell(value) is value


@pytest.mark.parametrize("text", EVIL)
def test_quarantine_computes_nothing(text: str, tmp_path: Path) -> None:
    path = save_refusals(
        [Refusal(source=text, line=2, image_name=text, file=text, reason="missing_file", detail=text)],
        tmp_path,
    )
    (row,) = rows(path)
    assert not [value for value in row.values() if value.startswith(FORMULA)]
    assert (row["row"], row["image_name"], row["detail"]) == ("2", f"'{text}", f"'{text}")
    (shown,) = data_index.quarantine(tmp_path)
    assert shown.name == text


@pytest.mark.parametrize("text", EVIL)
def test_splits_compute_nothing_and_are_read_as_they_were_dealt(text: str, tmp_path: Path) -> None:
    one = Dealt("ab", "cd", 1, text, text, "train", 1, ("t",), "ef", text, text)
    (row,) = rows(dealt.save([one], tmp_path))
    assert not [value for value in row.values() if value.startswith(FORMULA)]
    assert dealt.load(tmp_path) == (one,)


@pytest.mark.parametrize("text", EVIL)
def test_predictions_compute_nothing_and_are_read_as_they_were_made(text: str, tmp_path: Path) -> None:
    one = Prediction(text, text, 1, 0.5, 0.4, 0.1, text, "male", "40-49", text, "1")
    path = predictions.save([one], tmp_path)
    (row,) = rows(path)
    assert not [value for value in row.values() if value.startswith(FORMULA)]
    assert predictions.load(tmp_path) == [one]
    shown = evidence.load_predictions(path)
    assert shown is not None
    assert (shown.names, shown.groups["diagnosis"]) == ([text], [text])
