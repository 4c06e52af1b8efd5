"""The file of confirmed outcomes, written by the dashboard and read by the command line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import UsageError
from core.records.outcome import COLUMNS, FieldOutcome, read, table

ROW = FieldOutcome(
    answer=7, time=datetime(2026, 11, 28, tzinfo=UTC), version="3", patient="=cmd|x", zone="refer",
    probability=0.4321, outcome="melanoma", basis="histology",
)  # fmt: skip
OTHER = ROW.model_copy(update={"answer": 8, "patient": "", "outcome": "benign"})


def test_what_is_written_is_read_again_and_no_spreadsheet_computes_it(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text(table([ROW, OTHER]))
    assert read(path) == (ROW, OTHER)
    assert ",'=cmd|x," in path.read_text()
    assert [row.label for row in read(path)] == [1, 0]
    assert [row.group for row in read(path)] == ["patient =cmd|x", "answer 8"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a,b\n1,2\n", "first line must be"),
        ("", "first line must be"),
        (",".join(COLUMNS) + "\n7,2026-11-28T00:00:00Z,3,,refer,1.4,melanoma,histology\n", "line 2: probability"),
        (",".join(COLUMNS) + "\n7,2026-11-28T00:00:00Z,3,,refer,0.4,unclear,histology\n", "line 2: outcome"),
        (",".join(COLUMNS) + "\n7,x,3,,refer,0.4,benign,histology,more\n", "line 2"),
        (",".join(COLUMNS) + "\n7\n", "line 2"),
        ("\0\xff", "cannot be read as a CSV file"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_a_sentence_that_names_the_line(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=named):
        read(path)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--field .*gone\.csv"):
        read(tmp_path / "gone.csv")
