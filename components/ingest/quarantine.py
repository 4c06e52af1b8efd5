"""`quarantine.csv`: every row that was not written, and why."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from components.ingest.row import Refusal

NAME: Final = "quarantine.csv"
COLUMNS: Final = ("source", "row", "image_name", "file", "reason", "detail")


def save(refusals: Iterable[Refusal], folder: Path) -> Path:
    """Write the refusals, ordered by source and row, into ``folder``."""
    path = folder / NAME
    # File names may hold bytes that are no UTF-8.
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for refusal in sorted(refusals, key=lambda one: (one.source, one.line, one.image_name)):
            table.writerow(
                (
                    refusal.source,
                    refusal.line,
                    refusal.image_name,
                    refusal.file,
                    refusal.reason,
                    refusal.detail,
                )
            )
    return path
