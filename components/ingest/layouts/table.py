"""Reads the layouts that are a table with one row an image."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.ingest import diagnosis as diagnoses
from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.layouts.found import Found
from components.ingest.layouts.images import ImageFolder
from components.ingest.pseudonym import pseudonym
from components.ingest.row import Refusal, Row
from components.ingest.source import Source

# Column names by what they hold, the preferred first. They are the union over the archives: a SIIM-ISIC file
# that somebody renamed or joined is still read.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "image": ("image_name", "isic_id", "image_id", "image", "filename", "file_name", "file", "path"),
    "patient": ("patient_id", "patient"),
    "lesion": ("lesion_id", "lesion"),
    "diagnosis": ("diagnosis", "dx", "diagnosis_5", "diagnosis_4", "diagnosis_3", "diagnosis_2"),
    "target": ("target", "label"),
    "malignant": ("benign_malignant", "diagnosis_1"),
    "age": ("age_approx", "age"),
    "sex": ("sex", "gender"),
    "site": (
        "anatom_site",
        "anatom_site_general_challenge",
        "anatom_site_general",
        "anatom_site_1",
        "localization",
        "site",
    ),
}
ONE_HOT: Final = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")
_UNKNOWN: Final = diagnoses.UNKNOWN - {"other"}
_SEXES: Final = {"m": "male", "f": "female", "w": "female"}


@dataclass(frozen=True, slots=True)
class Table:
    """A csv file.

    Attributes:
        path: the file.
        header: column names, stripped.
        lines: line number and cells of every row.
    """

    path: Path
    header: tuple[str, ...]
    lines: list[tuple[int, list[str]]]


def load(path: Path) -> Table:
    """Read a csv file: UTF-8, separated by commas, semicolons or tabs.

    Raises:
        IngestError: it cannot be read as one, or is empty.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise IngestError(f"{path} is not UTF-8 (byte {error.start}): save the table as UTF-8 csv") from None
    except OSError as error:
        raise IngestError(f"{path} cannot be read: {error.strerror}") from None
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    lines: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = next(reader, None)
        last = reader.line_num
        for cells in reader:
            if cells:
                lines.append((last + 1, cells))
            last = reader.line_num
    except csv.Error as error:
        raise IngestError(f"{path}, line {reader.line_num}: no csv: {error}") from None
    if not header:
        raise IngestError(f"{path} is empty: a first line with column names is needed")
    return Table(path, tuple(cell.strip() for cell in header), lines)


def kind_of(path: Path) -> str | None:
    """Name the layout of a table by its columns; None where it is no table that is known."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline(65536)
    except (OSError, UnicodeDecodeError):
        return None
    names = {
        cell.strip().strip('"').lower() for cell in first.replace(";", ",").replace("\t", ",").split(",")
    }
    if {"mel", "nv", "image"} <= names:
        return "isic2019"
    if "isic_id" in names:
        return "isic-archive"
    if {"image_name", "benign_malignant", "anatom_site_general_challenge"} <= names:
        return "siim2020"
    if {"image_id", "dx"} <= names:
        return "ham10000"
    labels = ("target", "diagnosis", "malignant")
    if names & set(COLUMNS["image"]) and any(names & set(COLUMNS[what]) for what in labels):
        return "csv"
    return None


def read(source: Source, config: IngestConfig) -> Found:
    """Read a source of the layouts siim2020, ham10000, isic-archive and csv.

    Raises:
        IngestError: the table is missing, is no csv, or lacks the column of image names or every label.
    """
    table = load(source.table())
    keys = _keys(table)
    records = ((line, dict(zip(keys, cells, strict=True)), "") for line, cells in _whole(table))
    found = Found()
    for line, cells in table.lines:
        if len(cells) != len(table.header):
            detail = f"{len(cells)} cells, the header has {len(table.header)}"
            found.refusals.append(Refusal(source.title, line, "", "", "bad_row", detail))
    _check_columns(table, source)
    return rows(source, config, records, found)


def rows(
    source: Source,
    config: IngestConfig,
    records: Iterator[tuple[int, Mapping[str, str], str]],
    found: Found,
) -> Found:
    """Turn records (line, value by the keys of ``COLUMNS``, one-hot diagnosis) into rows, added to ``found``."""
    folder = ImageFolder(source.image_folder(), config.image_extensions)
    for line, record, one_hot in records:
        name = record.get("image", "").strip()
        if not name:
            found.refusals.append(Refusal(source.title, line, "", "", "bad_row", "no image name"))
            continue
        stem, path = folder.name_of(name), folder.find(name)
        try:
            found.rows.append(_row(source, config, line, stem, path, record, one_hot))
        except _RefusedError as refused:
            found.refusals.append(
                Refusal(source.title, line, stem, path or "", refused.reason, refused.detail)
            )
    found.unlisted = folder.unlisted
    return found


# Most rows of the archive leave the deep ones empty.
_LEVELS: Final = ("diagnosis_5", "diagnosis_4", "diagnosis_3", "diagnosis_2")


class _RefusedError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def _row(
    source: Source,
    config: IngestConfig,
    line: int,
    name: str,
    path: str | None,
    record: Mapping[str, str],
    one_hot: str,
) -> Row:
    named = one_hot or _diagnosis(record)
    diagnosis = diagnoses.canonical(named)
    target = _target(record.get("target", ""))
    malignant = _malignant(record.get("malignant", ""))
    label = diagnoses.label(diagnosis, target, malignant, config.positive_diagnoses)
    if label is None:
        raise _RefusedError("no_label", f"target {record.get('target', '')!r}, diagnosis {named!r}")
    patient, lesion = (_text(record.get(what, "")) for what in ("patient", "lesion"))
    sex, site = (_text(record.get(what, "").lower()) for what in ("sex", "site"))
    return Row(
        source=source.title,
        line=line,
        image_name=name,
        file=path,
        patient=pseudonym(source.id_space, "patient", patient) if patient else None,
        lesion=pseudonym(source.id_space, "lesion", lesion) if lesion else None,
        image_key=pseudonym(source.id_space, "image", name),
        target=label,
        diagnosis=diagnosis,
        age=_age(record.get("age", "")),
        sex=_SEXES.get(sex, sex) if sex else None,
        site=site,
    )


def _diagnosis(record: Mapping[str, str]) -> str:
    """The deepest of the archive's five levels that has a name of ours, else the deepest that is filled."""
    levels = [record.get("diagnosis", ""), *(record.get(f"column:{name}", "") for name in _LEVELS)]
    filled = [(level, diagnoses.canonical(level)) for level in levels]
    known = (level for level, name in filled if name is not None and diagnoses.is_known(name))
    return next(known, next((level for level, name in filled if name is not None), levels[0]))


def _keys(table: Table) -> list[str]:
    """What each column holds: a key of ``COLUMNS``, or the column's own name."""
    lower = [name.lower() for name in table.header]
    taken: dict[int, str] = {}
    for key, names in COLUMNS.items():
        best = next((lower.index(name) for name in names if name in lower), None)
        if best is not None:
            taken.setdefault(best, key)
    return [taken.get(index, f"column:{name}") for index, name in enumerate(lower)]


def _whole(table: Table) -> Iterator[tuple[int, list[str]]]:
    yield from ((line, cells) for line, cells in table.lines if len(cells) == len(table.header))


def _check_columns(table: Table, source: Source) -> None:
    keys = _keys(table)
    there = f"its columns are {', '.join(table.header)}"
    if "image" not in keys:
        raise IngestError(
            f"{table.path} has no column of image names: expected one of {', '.join(COLUMNS['image'])}; {there}"
        )
    if not {"target", "diagnosis", "malignant"} & set(keys):
        wanted = ", ".join(name for what in ("target", "diagnosis", "malignant") for name in COLUMNS[what])
        raise IngestError(f"{table.path} has no label: expected one of {wanted}; {there} (source {source})")


def _text(value: str) -> str | None:
    value = value.strip()
    return None if value.lower() in _UNKNOWN else value


def _target(value: str) -> int | None:
    value = value.strip().lower()
    if value in _UNKNOWN:
        return None
    if value in {"0", "0.0", "false", "no"}:
        return 0
    if value in {"1", "1.0", "true", "yes"}:
        return 1
    # Tables that call the diagnosis `label` are common.
    name = diagnoses.canonical(value)
    if name is not None and diagnoses.is_known(name):
        return int(name == "mel")
    malignant = _malignant(value)
    if malignant is None:
        raise _RefusedError("bad_value", f"target {value!r}: valid are 0 and 1")
    return int(malignant)


def _malignant(value: str) -> bool | None:
    return {"benign": False, "malignant": True}.get(value.strip().lower())


def _age(value: str) -> float | None:
    text = _text(value)
    if text is None:
        return None
    try:
        age = float(text)
    except ValueError:
        raise _RefusedError("bad_value", f"age {text!r} is no number") from None
    if not math.isfinite(age) or not 0 <= age <= 120:
        raise _RefusedError("bad_value", f"age {text!r} is not within 0 and 120 years")
    return age
