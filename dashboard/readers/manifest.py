"""What ingest says of the files it left out: quarantine.csv."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

from core.settings import Frozen
from core.spreadsheet import plain

MOST_ROWS = 200_000


class Quarantined(Frozen):
    """A file that was left out."""

    name: str
    reason: str
    detail: str
    path: str


def quarantine(folder: Path) -> list[Quarantined]:
    """Every file that was left out, in the file's order."""
    try:
        with (folder / "quarantine.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(islice(csv.DictReader(stream), MOST_ROWS))
    except (OSError, ValueError, csv.Error):
        return []
    result = []
    for row in rows:
        known = {key: plain(value or "") for key, value in row.items() if isinstance(key, str)}
        name = _first(known, "image_name", "image", "name", "file", "path")
        reason = _first(known, "reason", "code", "why")
        rest = {k: v for k, v in known.items() if v and v not in (name, reason)}
        result.append(
            Quarantined(
                name=name,
                reason=reason,
                detail="; ".join(f"{key}: {value}" for key, value in rest.items()),
                path=_first(known, "file", "path"),
            )
        )
    return result


def _first(row: dict[str, str], *keys: str) -> str:
    return next((row[key] for key in keys if row.get(key)), "")
