"""Rows of a data set, and why some were refused."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from components.ingest import hdf5
from core import spreadsheet

QUARANTINE: Final = "quarantine.csv"
COLUMNS: Final = ("source", "row", "image_name", "file", "reason", "detail")

# Every reason a row is quarantined for, and what it means.
REASONS: Final = {
    "bad_row": "the table's line cannot be read: columns are missing or too many, or it names no image",
    "bad_value": "a label column holds a value that is none of the valid ones",
    "no_label": "no target is given, and no diagnosis that is understood",
    "duplicate_row": "an earlier row of the same source names the same image with the same label",
    "missing_file": "the image does not exist",
    "unreadable": "the file cannot be opened or is not a regular file",
    "empty": "the file has no bytes",
    "too_large": "the file has more bytes than max_bytes",
    "not_an_image": "the bytes are not an image format that is accepted",
    "too_many_pixels": "the header announces more pixels than max_pixels: a decompression bomb, or a wrong file",
    "wrong_size": "a side is shorter than min_side, or one is more than 20 times the other",
    "animated": "the file holds more than one picture",
    "truncated": "the file ends before the picture does",
    "corrupt": "the decoder fails on the picture",
    "unsupported": "the pixel format has no agreed conversion to 8-bit RGB",
    "blank": "every pixel is (nearly) the same: there is no picture",
    "decoder_died": "the decoder process crashed or did not end on this file",
    "duplicate": "another image has the same bytes; that one is kept",
    "between_splits": "it ties together what lies in different splits of the data set it was to be added to",
    "label_conflict": "its label columns contradict each other, or the same picture occurs with another label",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One image as its data set describes it; None is an unknown value."""

    source: str  # value of the feature `source`
    line: int  # line of the table, the header being 1; for folders the place in the sorted listing
    image_name: str  # name in its source, without folder and ending
    file: str | None  # path of the image, None where it was not found
    patient: str | None  # key of the patient, unique over all sources, pseudonymous
    lesion: str | None  # the same for the lesion
    target: int  # 1 is positive
    diagnosis: str | None  # canonical short name (mel, nv, ...) where one is known, else the source's words
    age: float | None  # years
    sex: str | None  # lower case
    site: str | None  # lower case


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not written."""

    source: str  # value of the feature `source`
    line: int  # as in ``Row``
    image_name: str  # as far as it is known
    file: str  # path of the image, empty where it is not known
    reason: str  # a key of ``REASONS``
    detail: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"the reason {self.reason!r} is unknown; valid are {', '.join(REASONS)}")

    @classmethod
    def of(cls, row: Row, reason: str, detail: str) -> Refusal:
        """Refuse ``row``."""
        return cls(row.source, row.line, row.image_name, row.file or "", reason, detail)


@dataclass(slots=True)
class Found:
    """Rows and refusals of one source; together they are every row that was read."""

    source: str  # value of the feature `source`
    rows: list[Row] = field(default_factory=list)  # usable so far
    refusals: list[Refusal] = field(default_factory=list)  # rows that cannot be used
    unlisted: int = 0  # image files in the folder that no row names
    # Rows by what their label columns say and what became of it (0, 1 or a reason).
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Canonical names that were understood, `malignant` among them where that is stated.
    diagnoses: set[str] = field(default_factory=set)

    @property
    def rows_read(self) -> int:
        """How many rows the source has."""
        return len(self.rows) + len(self.refusals)

    def refuse(self, line: int, image_name: str, file: str, reason: str, detail: str) -> None:
        """Add a row that cannot be used; the arguments are ``Refusal``'s."""
        self.refusals.append(Refusal(self.source, line, image_name, file, reason, detail))

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


def save_refusals(refusals: Iterable[Refusal], folder: Path, after: Path | None = None) -> Path:
    """Write `quarantine.csv`: the refusals, ordered by source and row, into ``folder``, behind those of the data set ``after``."""
    path = folder / QUARANTINE
    if after is not None and (after / QUARANTINE).is_file():
        shutil.copyfile(after / QUARANTINE, path)
    # File names may hold bytes that are not UTF-8.
    with path.open("a", newline="", encoding="utf-8", errors="backslashreplace") as file:
        table = csv.writer(file)
        if not file.tell():
            table.writerow(COLUMNS)
        for refusal in sorted(refusals, key=lambda one: (one.source, one.line, one.image_name)):
            cells = {**asdict(refusal), "file": hdf5.shown(refusal.file)}
            table.writerow(map(spreadsheet.cell, cells.values()))
    return path


def pseudonym(id_space: str, kind: str, identifier: str) -> str:
    """Return a key of 20 hexadecimal digits, the same for the same identifier in the same space.

    It keeps names out of the records and out of whatever is made from them. It is not anonymisation: who has the
    list of identifiers can compute the keys again. Sources that share identifiers share an ``id_space``; ``kind`` is
    patient, lesion or image.
    """
    return hashlib.sha256(f"{id_space}\0{kind}\0{identifier}".encode()).hexdigest()[:20]
