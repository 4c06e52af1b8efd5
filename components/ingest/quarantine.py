"""`quarantine.csv`: every row that was not written, and why."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from components.ingest import hdf5
from components.ingest.row import Refusal
from core import spreadsheet

NAME: Final = "quarantine.csv"
COLUMNS: Final = ("source", "row", "image_name", "file", "reason", "detail")


def save(refusals: Iterable[Refusal], folder: Path, after: Path | None = None) -> Path:
    """Write the refusals, ordered by source and row, into ``folder``, behind those of the data set ``after``."""
    path = folder / NAME
    if after is not None and (after / NAME).is_file():
        shutil.copyfile(after / NAME, path)
    # File names may hold bytes that are not UTF-8.
    with path.open("a", newline="", encoding="utf-8", errors="backslashreplace") as file:
        table = csv.writer(file)
        if not file.tell():
            table.writerow(COLUMNS)
        for refusal in sorted(refusals, key=lambda one: (one.source, one.line, one.image_name)):
            cells = {**asdict(refusal), "file": hdf5.shown(refusal.file)}
            table.writerow(map(spreadsheet.cell, cells.values()))
    return path
