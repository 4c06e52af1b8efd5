"""What reading a source gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from components.ingest.row import Refusal, Row


@dataclass(slots=True)
class Found:
    """Rows and refusals of one source; together they are every row that was read.

    Attributes:
        rows: usable so far.
        refusals: rows that cannot be used.
        unlisted: image files in the folder that no row names.
    """

    rows: list[Row] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    unlisted: int = 0

    @property
    def rows_read(self) -> int:
        """How many rows the source has."""
        return len(self.rows) + len(self.refusals)
