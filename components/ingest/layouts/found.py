"""What reading a source gives."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from components.ingest.row import Refusal, Row


@dataclass(slots=True)
class Found:
    """Rows and refusals of one source; together they are every row that was read.

    Attributes:
        rows: usable so far.
        refusals: rows that cannot be used.
        unlisted: image files in the folder that no row names.
        labels: rows by what their label columns say and what became of it (0, 1 or a reason).
        diagnoses: canonical names that were understood, `malignant` among them where that is stated.
    """

    rows: list[Row] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    unlisted: int = 0
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    diagnoses: set[str] = field(default_factory=set)

    @property
    def rows_read(self) -> int:
        """How many rows the source has."""
        return len(self.rows) + len(self.refusals)

    def count(self, words: str, became: str, diagnosis: str | None, malignant: bool | None) -> None:
        """Note what a row's label columns say, and what became of it."""
        self.labels[words, became] += 1
        if diagnosis is not None:
            self.diagnoses.add(diagnosis)
        elif became == "1":
            # A target column calls melanoma 1.
            self.diagnoses.add("mel")
        if malignant:
            self.diagnoses.add("malignant")
