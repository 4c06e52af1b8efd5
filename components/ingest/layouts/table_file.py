"""Reads a table's file: csv, tsv, .tab or .xlsx, as people's programs write them."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from components.ingest.errors import IngestError

SUFFIXES: Final = (".csv", ".tsv", ".tab", ".txt", ".xlsx")
_SEPARATORS: Final = ",;\t|"
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEP_LINE: Final = re.compile(r'^"?sep=(.)"?\s*$', re.IGNORECASE)
_ISIC_NAME: Final = re.compile(r"^ISIC_\d+(_downsampled)?$")


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it lies in its file."""

    path: Path
    header: tuple[str, ...]  # column names, stripped
    lines: list[tuple[int, list[str]]]  # line number and cells of every row that has a cell a column
    ragged: list[tuple[int, str]]  # line number of every other row, and what is wrong with it
    all_columns: tuple[str, ...]  # the header with the columns that were left out


def load(path: Path, wanted: frozenset[str] | None = None) -> Table:
    """Read a table: UTF-8, UTF-16 or Windows-1252; commas, semicolons, tabs or bars; or the first sheet of an .xlsx.

    Blank lines, comments (#) and a `sep=` line before the header are passed over; cells that are empty beyond the
    header are dropped. Of the columns those with the lower-case names ``wanted`` are kept, since ISIC 2024 has 55.

    Raises:
        IngestError: it cannot be read as a table, is empty, or a quote swallows rows.
    """
    rows = _workbook(path) if path.suffix.lower() == ".xlsx" else _text(path)
    top = next(rows, None)
    if top is None:
        raise IngestError(f"{path} is empty: a first line with column names is needed")
    # "Image Name" and "image-name" are image_name.
    names = _cut([re.sub(r"[\s-]+", "_", cell.strip()) for cell in top[1]], 1)
    # ISIC 2016 has no header: "ISIC_0000000,benign".
    if len(names) == 2 and _ISIC_NAME.match(names[0]):
        names, rows = ["image_id", "isic2016"], itertools.chain([top], rows)
    lower = [name.lower() for name in names]
    twice = [name for index, name in enumerate(names) if name and name.lower() in lower[:index]]
    if twice:
        raise IngestError(f"{path} has two columns called {twice[0]!r}: rename one")
    kept = [index for index, name in enumerate(names) if wanted is None or name.lower() in wanted]
    table = Table(path, tuple(names[index] for index in kept), [], [], tuple(names))
    for line, cells in rows:
        whole = _cut(cells, len(names))
        if len(whole) == len(names):
            table.lines.append((line, [whole[index] for index in kept]))
        else:
            table.ragged.append((line, f"{len(whole)} cells, the header has {len(names)}"))
    return table


def load_pairs(path: Path) -> tuple[tuple[str, str], ...]:
    """Read pairs of images that show one lesion although no table says so, by their names: one pair a line in the first two columns; a header is passed over where there is one.

    Raises:
        IngestError: the file cannot be read, or a line does not name two images.
    """
    table = load(path)
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


def header(path: Path) -> tuple[str, ...]:
    """Return the column names of a table, nothing where the file is not one."""
    try:
        return load(path, frozenset()).all_columns
    except IngestError:
        return ()


def _cut(cells: list[str], width: int) -> list[str]:
    """Drop the empty cells at the end of a row beyond its first ``width``."""
    end = len(cells)
    while end > width and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def _text(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IngestError(f"{path} cannot be read: {error.strerror}") from None
    text = _decoded(path, data)
    del data
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    start, at, separator, first = 0, 0, "", ""
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        first = text[at:end]
        if named := _SEP_LINE.match(first):
            separator = named[1]
        elif first.strip() and not first.startswith("#"):
            break
        start, at = start + 1, end + 1
    if at >= len(text):
        return
    separator = separator or max(_SEPARATORS, key=_unquoted(first).count)
    width, last, lines = 0, start, list[str]()
    stream = io.StringIO(text, newline="")
    stream.seek(at)
    reader = csv.reader(stream, delimiter=separator, skipinitialspace=True)
    try:
        for cells in reader:
            end = start + reader.line_num
            width = width or len(cells)
            if end - last > 1:
                lines = lines or text[at:].split("\n")
                _check_quote(path, last + 1, lines[last - start : end - start], cells, separator, width)
            if any(cell.strip() for cell in cells):
                yield last + 1, cells
            last = end
    except csv.Error as error:
        raise IngestError(f"{path}, line {start + reader.line_num}: not a table: {error}") from None


def _decoded(path: Path, data: bytes) -> str:
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "")
    if not encoding and b"\0" in data[:200]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    for candidate in (encoding,) if encoding else ("utf-8", "cp1252"):
        try:
            return data.decode(candidate)
        except UnicodeDecodeError:
            continue
    raise IngestError(f"{path} is not UTF-8, UTF-16 or Windows-1252 text: save the table as UTF-8 csv")


def _unquoted(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _check_quote(
    path: Path, first: int, lines: list[str], cells: list[str], separator: str, width: int
) -> None:
    """Refuse a cell that spans lines which look like rows: its quote was never closed.

    Or it was closed by the next row's opening quote, which text follows.
    """
    swallowed = any(
        line.count(separator) >= max(1, width - 1) for cell in cells for line in cell.split("\n")[1:]
    )
    try:
        list(csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        swallowed = True
    if swallowed:
        raise IngestError(
            f"{path}, line {first}: a quote is opened and not closed where it should be: it swallows lines "
            f"{first} to {first + len(lines) - 1}; close it, or double a quote that belongs to the text"
        )


def _workbook(path: Path) -> Iterator[tuple[int, list[str]]]:
    # Imported here because few tables are workbooks.
    from zipfile import BadZipFile

    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheets = [_sheet(sheet) for sheet in book.worksheets]
        book.close()
    except OSError as error:
        raise IngestError(f"{path} cannot be read: {error.strerror or error}") from None
    except (BadZipFile, KeyError, ValueError, IndexError) as error:
        raise IngestError(
            f"{path} is not a workbook that can be read: {error}; save it as UTF-8 csv"
        ) from None
    first, *others = sheets
    if first and any(other and other[0][1] == first[0][1] for other in others):
        raise IngestError(f"{path} has several sheets of one header: join them, or save each as a table")
    width = len(first[0][1]) if first else 0
    return ((number, cells + [""] * (width - len(cells))) for number, cells in first)


def _sheet(sheet: Any) -> list[tuple[int, list[str]]]:
    """The rows of a sheet that hold something, each cut behind its last cell."""
    # The size that a sheet states is not always its size, and rows beyond it would be left out.
    sheet.reset_dimensions()
    rows = []
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        if cells := _cut([_cell(value) for value in values], 0):
            rows.append((number, cells))
    return rows


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
