"""`splits.csv`: what was dealt into which split, so that it stays there when data is added or ingested again."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from components.ingest.errors import IngestError
from core import spreadsheet
from core.features import SPLITS

NAME: Final = "splits.csv"


@dataclass(frozen=True, slots=True)
class Dealt:
    """One image that was dealt."""

    sha256: str  # of the file as it was found
    fingerprint: str  # perceptual hash, hexadecimal
    target: int
    diagnosis: str  # its diagnosis, empty where it is unknown
    group: str  # pseudonymous key of its group
    split: str  # train, eval or test
    span: int  # in which part of the data it came; 0 where it is not in the data at present
    ties: tuple[str, ...]  # what ties it to others: pseudonymous keys of patient and lesion, its bytes
    digest: str  # SHA-256 over its split, its features and the SHA-256 of its bytes as written
    name: str  # its image_name
    source: str  # value of the feature `source`


COLUMNS: Final = tuple(field.name for field in fields(Dealt))


def save(images: Iterable[Dealt], folder: Path) -> Path:
    """Write the table into ``folder``."""
    path = folder / NAME
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for one in sorted(images, key=lambda one: (one.span, one.digest, one.sha256)):
            cells = (" ".join(one.ties) if name == "ties" else getattr(one, name) for name in COLUMNS)
            table.writerow(map(spreadsheet.cell, cells))
    return path


def load(folder: Path) -> tuple[Dealt, ...]:
    """Read the table of an ingested data set; nothing where there is none.

    Raises:
        IngestError: the table is damaged.
    """
    path = folder / NAME
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(
                _image({column: spreadsheet.plain(text) for column, text in record.items()})
                for record in csv.DictReader(file)
            )
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise IngestError(f"{path} cannot be read: {error.strerror}") from None
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error):
        raise IngestError(
            f"{path} is damaged: without it nobody knows what lies in which split; restore it, or ingest all data "
            "into another folder"
        ) from None


def _image(record: dict[str, str]) -> Dealt:
    if record["split"] not in SPLITS:
        raise ValueError(record["split"])
    bytes.fromhex(record["fingerprint"])
    read = {
        "target": int(record["target"]),
        "span": int(record["span"]),
        "ties": tuple(record["ties"].split()),
    }
    return Dealt(**{name: record[name] for name in COLUMNS} | read)  # type: ignore[arg-type]
