"""Reads the layouts that are a table with one row an image."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from components.ingest import diagnosis as diagnoses
from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.label import Statements, UnlabelledError, decide
from components.ingest.layouts import KNOWN, table_file
from components.ingest.layouts.images import open_images
from components.ingest.layouts.table_file import Table
from components.ingest.row import Found, Row, pseudonym
from components.ingest.source import Source

COLUMNS: Final[dict[str, list[str]]] = KNOWN["columns"]
DIAGNOSES: Final[list[list[str]]] = KNOWN["diagnoses"]
TARGETS: Final[list[str]] = KNOWN["targets"]
MALIGNANCY: Final[list[str]] = KNOWN["malignancy"]
LABELS: Final = (*TARGETS, *MALIGNANCY, *itertools.chain(*DIAGNOSES), *KNOWN["other_labels"])
ONE_HOT: Final[list[str]] = KNOWN["one_hot"]
_OWN: Final[dict[str, dict[str, str]]] = KNOWN["called"]
_SEXES: Final = {"m": "male", "f": "female", "w": "female"}
_NO: Final = frozenset({"0", "0.0", "false", "no", "n"})
_YES: Final = frozenset({"1", "1.0", "true", "yes", "y"})
_AGE: Final = re.compile(
    r"^(?P<low>\d{1,3}(?:[.,]\d+)?)\s*(?:(?:-|to)\s*(?P<high>\d{1,3})|\+|y|yrs?|years?)?$", re.IGNORECASE
)
_LEAST_CODES: Final = 2  # different numbers beyond 0 and 1 that make a column one of classes
_MOST_ODD: Final = 0.01  # share of rows with such a number that may be slips


# Every column that any layout reads.
KEPT: Final = frozenset(
    name.lower() for names in (*COLUMNS.values(), LABELS, ONE_HOT, *_OWN.values()) for name in names
)
LAYOUTS: Final = [(kind, frozenset(columns)) for kind, columns in KNOWN["signatures"].items()]


def kind_of(columns: Sequence[str]) -> str | None:
    """Name the layout of a table by its columns; None where it is not a table that is known."""
    names = {name.lower() for name in columns}
    kind = next((kind for kind, signature in LAYOUTS if signature <= names), None)
    if kind is None and names & set(COLUMNS["image"]) and names & set(LABELS):
        return "csv"
    return kind


def closest(columns: Sequence[str]) -> str:
    """Say which layout a table that is not known comes closest to, and what it lacks; empty for none."""
    names = {name.lower() for name in columns}
    # Of ISIC 2016 there is no header to compare with.
    kind, needed = max(LAYOUTS[1:], key=lambda layout: len(layout[1] & names) / len(layout[1]))
    return f"closest is {kind}, without {', '.join(sorted(needed - names))}" if needed & names else ""


def read(source: Source, config: IngestConfig) -> Found:
    """Read a source of a layout with one table.

    Raises:
        IngestError: the table is missing, is not a table, or lacks the column of image names or every label.
    """
    table = table_file.load(source.table(), KEPT)
    check_columns(table, source)
    found = Found(source.title)
    return rows(source, config, records(table, found), found)


def records(table: Table, found: Found) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines that have a cell a column, each as its number and its cells by column; the others are refused."""
    for line, detail in table.ragged:
        found.refuse(line, "", "", "bad_row", detail)
    for line, cells in table.lines:
        yield line, dict(zip(table.header, cells, strict=True))


def rows(
    source: Source, config: IngestConfig, lines: Iterable[tuple[int, Mapping[str, str]]], found: Found
) -> Found:
    """Turn lines (number, value by column) into rows, added to ``found``."""
    images = open_images(source, config)
    table = [(line, {key.lower(): value.strip() for key, value in record.items()}) for line, record in lines]
    keys = _keys(table[0][1], source.kind) if table else {}
    _check_codes(source, table)
    for line, record in table:
        cells = {key: record[column] for key, column in keys.items()}
        name = cells.get("image", "")
        if not name:
            found.refuse(line, "", "", "bad_row", "no image name")
            continue
        stem, path = images.name_of(name), images.find(name)
        said, words = _statements(record)
        try:
            if isinstance(said, UnlabelledError):
                raise said
            label, diagnosis = decide(said, config.positive_diagnoses)
            found.count(words, str(label), diagnosis, said.malignant)
            found.rows.append(_row(source, line, stem, path, cells, label, diagnosis))
        except UnlabelledError as refused:
            found.count(words, refused.reason, None, None)
            found.refuse(line, stem, path or "", refused.reason, refused.detail)
    found.unlisted = images.unlisted
    return found


def _row(
    source: Source,
    line: int,
    name: str,
    path: str | None,
    cells: Mapping[str, str],
    label: int,
    diagnosis: str | None,
) -> Row:
    patient, lesion = (_text(cells.get(what, "")) for what in ("patient", "lesion"))
    sex, site = (_text(cells.get(what, "").lower()) for what in ("sex", "site"))
    return Row(
        source=source.title,
        line=line,
        image_name=name,
        file=path,
        patient=pseudonym(source.id_space, "patient", patient) if patient else None,
        lesion=pseudonym(source.id_space, "lesion", lesion) if lesion else None,
        target=label,
        diagnosis=diagnosis,
        age=age(cells.get("age", "")),
        sex=_SEXES.get(sex, sex) if sex else None,
        site=site,
    )


def _statements(record: Mapping[str, str]) -> tuple[Statements | UnlabelledError, str]:
    """What the label columns say, and the words they say it in; an error where they contradict each other."""
    names = list(dict.fromkeys(filter(None, (_deepest(record, columns) for columns in DIAGNOSES))))
    targets, malignancies = set[int](), set[bool]()
    words = list(names)
    for column in (*TARGETS, *MALIGNANCY, *KNOWN["other_labels"]):
        value = record.get(column, "")
        if diagnoses.is_absent(value):
            continue
        flag = 0 if value.lower() in _NO else 1 if value.lower() in _YES else None
        stated = {"benign": False, "malignant": True}.get(value.lower())
        words.append(f"{column}={value}")
        if column == "seborrheic_keratosis":
            names += ["seborrheic keratosis"] if flag else []
        elif column == "isic2016":
            # Malignant is melanoma there (Gutman et al., arXiv:1605.01397, part 3).
            targets.add(int(stated if stated is not None else bool(flag)))
        elif flag is not None and (column in MALIGNANCY or (column == "target" and "isic_id" in record)):
            # ISIC 2024, whole or cut to a few columns, calls malignancy its target.
            malignancies.add(bool(flag))
        elif flag is not None:
            targets.add(flag)
        elif stated is not None:
            malignancies.add(stated)
        elif column in TARGETS:
            # Tables that call the diagnosis `label` are common.
            names.append(value)
        elif value.lower() != "indeterminate":
            return UnlabelledError("bad_value", f"{column} {value!r}: valid are benign and malignant"), value
    if len(targets) > 1 or len(malignancies) > 1:
        return UnlabelledError("label_conflict", f"its label columns contradict each other: {', '.join(words)}"), ", ".join(words)  # fmt: skip
    text = ", ".join(names or words)
    codes = [name for name in names if re.fullmatch(r"[+-]?[\d.]+", name)]
    if codes:
        return UnlabelledError("bad_value", f"target {codes[0]!r}: valid are 0 and 1"), text
    names.sort(key=lambda name: diagnoses.understood(name) is None)
    first, *others = names or [""]
    return Statements(first, next(iter(targets), None), next(iter(malignancies), None), tuple(others)), text


def _deepest(record: Mapping[str, str], columns: Sequence[str]) -> str:
    """The deepest level that is understood, else the deepest that is filled."""
    filled = [record[name] for name in columns if name in record and not diagnoses.is_absent(record[name])]
    understood = (level for level in filled if diagnoses.understood(level) is not None)
    return next(understood, filled[0] if filled else "")


def _check_codes(source: Source, table: list[tuple[int, dict[str, str]]]) -> None:
    """Stop at a column of class numbers: nobody but its author knows which number is melanoma.

    Raises:
        IngestError: a label column holds such numbers.
    """
    for column in (*TARGETS, *MALIGNANCY):
        values = Counter(record.get(column, "").removesuffix(".0") for _, record in table)
        codes = {value: count for value, count in values.items() if value.lstrip("-").isdigit()}
        odd = {value: count for value, count in codes.items() if value not in {"0", "1"}}
        if len(odd) >= _LEAST_CODES or sum(odd.values()) > max(1, _MOST_ODD * len(table)):
            shown = ", ".join(sorted(codes, key=int)[:10])
            raise IngestError(
                f"source {source}: the column {column!r} holds class numbers ({shown}): which of them is melanoma is "
                "not written there; add a column `diagnosis` with their names, or `target` with 1 for melanoma"
            )


def _keys(record: Mapping[str, str], kind: str) -> dict[str, str]:
    """Which column holds what, by the keys of ``COLUMNS``."""
    keys = {
        key: next(name for name in names if name in record)
        for key, names in COLUMNS.items()
        if any(name in record for name in names)
    }
    return {**keys, **{key: column for column, key in _OWN.get(kind, {}).items() if column in record}}


def check_columns(table: Table, source: Source) -> None:
    """Check that there are image names and labels.

    Raises:
        IngestError: there are none; the message names the columns and the closest layout.
    """
    lower = [name.lower() for name in table.header]
    there = f"its columns are {', '.join(table.all_columns)}"
    if not set(lower) & {*COLUMNS["image"], *_OWN.get(source.kind, {})}:
        raise IngestError(
            f"{table.path} has no column of image names: expected one of {', '.join(COLUMNS['image'])}; {there}"
        )
    if not set(lower) & set(LABELS):
        raise IngestError(
            f"{table.path} has no label: expected one of {', '.join(LABELS)}; {there} (source {source}). "
            "For answers to images without labels there is `melanosizer predict-batch --images FOLDER`"
        )


def _text(value: str) -> str | None:
    return None if diagnoses.is_absent(value) and value.lower() != "other" else value or None


def age(value: str) -> float | None:
    """Return an age in years: 45, 75,0, 85+, 45Y or the middle of 50-55; None where it is none of these."""
    found = _AGE.match(value.strip())
    if not found:
        return None
    low = float(found["low"].replace(",", "."))
    years = (low + float(found["high"])) / 2 if found["high"] else low
    return years if math.isfinite(years) and 0 <= years <= 120 else None
