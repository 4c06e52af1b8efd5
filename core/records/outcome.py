"""Confirmed outcomes of answers in the field: the dashboard writes the file, `melanosizer recalibrate --field` reads it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from core import spreadsheet
from core.errors import UsageError
from core.features import Zone
from core.records.times import Moment
from core.settings import Frozen, first_fault


class FieldOutcome(Frozen):
    """One answer whose outcome a clinician has entered."""

    answer: int = Field(ge=1, description="number of the answer on the dashboard")
    time: Moment = Field(description="of the answer")
    version: str = Field(min_length=1, description="model version that answered")
    patient: str = Field(description="code of the patient on the device; empty where the device sent none")
    zone: Zone
    probability: float = Field(ge=0, le=1, description="P(melanoma) as it was stated")
    outcome: Literal["melanoma", "benign"]
    basis: str = Field(description="histology, follow-up or expert view")

    @property
    def label(self) -> int:
        """1 for melanoma."""
        return int(self.outcome == "melanoma")

    @property
    def group(self) -> str:
        """What is never divided: the patient, or the answer where none is known."""
        return f"patient {self.patient}" if self.patient else f"answer {self.answer}"


COLUMNS = tuple(FieldOutcome.model_fields)


def table(rows: Iterable[FieldOutcome]) -> str:
    """Return a CSV file in which a spreadsheet computes nothing."""
    return spreadsheet.table(COLUMNS, (row.model_dump(mode="json") for row in rows))


def read(path: Path) -> tuple[FieldOutcome, ...]:
    """Read what :func:`table` made. Raises UsageError, which names the file and the line."""
    try:
        lines = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise UsageError(
                f"--field {path}: the first line must be {','.join(COLUMNS)}; "
                "take the file from the dashboard's page Field, Confirmed outcomes"
            )
        return tuple(_read(path, number, line) for number, line in enumerate(lines, 2))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise UsageError(f"--field {path}: cannot be read as a CSV file: {problem}") from None


def _read(path: Path, number: int, line: dict[str, str]) -> FieldOutcome:
    try:
        return FieldOutcome.model_validate(
            {name: spreadsheet.plain(text or "") for name, text in line.items()}
        )
    except (ValidationError, AttributeError) as problem:
        fault = first_fault(problem) if isinstance(problem, ValidationError) else "columns: too many"
        raise UsageError(f"--field {path}, line {number}: {fault}") from None
