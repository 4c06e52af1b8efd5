"""Reads a source, whatever its layout."""

from __future__ import annotations

from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.layouts import classes, one_hot, table
from components.ingest.row import Found, Refusal, Row
from components.ingest.source import Source


def read(source: Source, config: IngestConfig) -> Found:
    """Return every row of ``source``, usable or refused, each image named once.

    Raises:
        IngestError: the source cannot be read at all, or has no rows.
    """
    readers = {"folder": classes.read, "isic2018": one_hot.read, "isic2019": one_hot.read}
    found = readers.get(source.kind, table.read)(source, config)
    if not found.rows_read:
        raise IngestError(f"source {source}: it has no rows")
    _once(found)
    return found


def _once(found: Found) -> None:
    """Refuse rows that name an image again: the later ones, or all where their labels differ."""
    by_name: dict[str, list[Row]] = {}
    for row in found.rows:
        by_name.setdefault(row.image_name, []).append(row)
    kept: list[Row] = []
    for rows in by_name.values():
        if len({row.target for row in rows}) > 1:
            lines = ", ".join(f"line {row.line}: {row.target}" for row in rows)
            found.refusals.extend(
                Refusal.of(row, "label_conflict", f"target differs: {lines}") for row in rows
            )
            continue
        kept.append(rows[0])
        found.refusals.extend(
            Refusal.of(row, "duplicate_row", f"line {rows[0].line} names the same image") for row in rows[1:]
        )
    found.rows = kept
