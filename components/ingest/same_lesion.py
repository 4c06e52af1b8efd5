"""Published lists of images that show one lesion although nothing in the tables says so."""

from __future__ import annotations

from pathlib import Path

from components.ingest.errors import IngestError
from components.ingest.layouts import table_file


def read(path: Path) -> tuple[tuple[str, str], ...]:
    """Read pairs of image names, one pair a line in the first two columns; a header is passed over where there is one.

    Raises:
        IngestError: the file cannot be read, or a line does not name two images.
    """
    table = table_file.load(path)
    lines = [(1, list(table.header)), *table.lines]
    if table.ragged:
        line, wrong = table.ragged[0]
        raise IngestError(f"{path}, line {line}: {wrong}; expected two image names a line")
    pairs = []
    for line, cells in lines:
        names = [_stem(cell) for cell in cells[:2]]
        if len(names) < 2 or not all(names):
            raise IngestError(f"{path}, line {line}: expected two image names")
        pairs.append((names[0], names[1]))
    return tuple(pairs)


def _stem(name: str) -> str:
    base = name.strip().replace("\\", "/").rsplit("/", 1)[-1]
    head, dot, ending = base.rpartition(".")
    return head if dot and ending.lower() in {"jpg", "jpeg", "png"} else base
