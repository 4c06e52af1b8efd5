"""Where rows come from: a data set in one of the known layouts."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, Self, get_args

from pydantic import Field

from components.ingest import hdf5
from components.ingest.errors import IngestError
from components.ingest.layouts import KNOWN
from components.ingest.layouts.table_file import SUFFIXES
from core.settings import Frozen

Kind = Literal[
    "siim2020",
    "isic2016",
    "isic2017",
    "isic2018",
    "isic2019",
    "isic2024",
    "ham10000",
    "pad-ufes",
    "derm7pt",
    "isic-archive",
    "folder",
    "csv",
]
KINDS: Final[tuple[str, ...]] = get_args(Kind)

TABLES: Final[dict[str, list[str]]] = KNOWN["tables"]


class Source(Frozen):
    """One data set: its layout, its table or folder, and its images."""

    kind: Kind = Field(description=f"layout: {', '.join(KINDS)}")
    path: Path = Field(
        description="the table, or the folder that holds it; for `folder`, the folder of classes"
    )
    images: Path | None = Field(
        default=None,
        description="folder with the images, searched with its sub-folders, or an HDF5 file of them; default: beside the table",
    )
    name: str = Field(
        default="", description="value of the feature `source`; default: the archive's or the folder's"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``KIND:PATH[,images=DIR][,name=NAME]``.

        Raises:
            IngestError: the kind or an option is unknown, or the path is missing.
        """
        kind, colon, rest = text.partition(":")
        if kind not in KINDS:
            raise IngestError(f"source {text!r}: the kind {kind!r} is unknown; valid are {', '.join(KINDS)}")
        path, *options = re.split(r",(?=[a-z_]+=)", rest)
        if not colon or not path:
            raise IngestError(f"source {text!r}: no path; write {kind}:PATH[,images=DIR][,name=NAME]")
        values: dict[str, str] = {}
        for option in options:
            key, _, value = option.partition("=")
            if key not in {"images", "name"}:
                raise IngestError(f"source {text!r}: the option {key!r} is unknown; valid are images, name")
            if not value:
                raise IngestError(f"source {text!r}: the option {key!r} is empty")
            values[key] = value
        images = Path(values["images"]).expanduser() if "images" in values else None
        return cls.model_validate(
            {"kind": kind, "path": Path(path).expanduser(), "images": images, "name": values.get("name", "")}
        )

    def __str__(self) -> str:
        options = f",images={self.images}" if self.images else ""
        return f"{self.kind}:{self.path}{options}" + (f",name={self.name}" if self.name else "")

    @cached_property
    def title(self) -> str:
        """The value of the feature `source`."""
        if self.name:
            return self.name
        if self.kind in KNOWN["archives"]:
            return self.kind
        path = self.path.resolve()
        return path.name if path.is_dir() else path.parent.name or path.stem

    @cached_property
    def id_space(self) -> str:
        """Sources with the same space mean the same patient by the same identifier.

        All sources without a name share one, whatever their folder is called: a folder that is renamed, or comes again
        with a later span, keeps its patients. Two clinics' equal numbers then only stay together; ``name=`` parts them.
        """
        if self.kind in KNOWN["archives"]:
            return "isic"
        own = self.kind if self.kind in KNOWN["own_identifiers"] else ""
        return f"source:{self.name or own}"

    def table(self) -> Path:
        """Return the file with the rows.

        Raises:
            IngestError: there is none.
        """
        if self.path.is_file():
            return self.path
        if not self.path.exists():
            raise IngestError(f"source {self}: {self.path} does not exist")
        if not self.path.is_dir():
            raise IngestError(f"source {self}: {self.path} is neither a file nor a folder")
        for name in TABLES[self.kind]:
            if (self.path / name).is_file():
                return self.path / name
        found = sorted(path for path in self.path.iterdir() if path.suffix.lower() in SUFFIXES[:3])
        if len(found) == 1:
            return found[0]
        there = f"; there are {', '.join(path.name for path in found[:5])}" if found else ""
        raise IngestError(
            f"source {self}: no table in {self.path}: expected {' or '.join(TABLES[self.kind])}{there}; "
            f"name the file: {self.kind}:{self.path}/TABLE.csv"
        )

    def image_place(self) -> Path:
        """Return the folder that is searched for images, or the HDF5 file that holds them.

        Raises:
            IngestError: it does not exist.
        """
        if self.images is not None:
            if not self.images.exists():
                raise IngestError(f"source {self}: images={self.images} does not exist")
            if self.kind != "folder" and self.images.suffix.lower() in hdf5.SUFFIXES:
                if not self.images.is_file():
                    raise IngestError(f"source {self}: images={self.images} is not a file")
            elif not self.images.is_dir():
                raise IngestError(f"source {self}: images={self.images} is not a folder")
            return self.images
        if self.kind == "folder":
            if not self.path.is_dir():
                raise IngestError(
                    f"source {self}: {self.path} is not a folder; expected one sub-folder a class"
                )
            return self.path
        table = self.table()
        if self.kind == "isic2024":
            stem = table.stem.replace("metadata", "image")
            for path in sorted(table.parent.iterdir()):
                if path.suffix.lower() in hdf5.SUFFIXES and path.stem == stem:
                    return path
        beside = table.parent
        if self.kind == "derm7pt" and beside.name == "meta":
            beside = beside.parent
        return beside / "images" if (beside / "images").is_dir() else beside


def detect(path: Path | str) -> Source:
    """Guess the layout of ``path``, a table or a folder, from its column names or its sub-folders.

    Raises:
        IngestError: nothing there looks like a data set, or it is an ingested one already.
    """
    # Imported here because the layouts need Source.
    from components.ingest.layouts import classes, table, table_file

    path = Path(path)
    if not path.exists():
        raise IngestError(f"{path} does not exist")
    if path.is_dir() and (path / "manifest.json").is_file():
        raise IngestError(f"{path} is an ingested data set already: use it as it is (--data {path})")
    tables = [path] if path.is_file() else _tables(path)
    reasons: list[str] = []
    for candidate in tables:
        columns = table_file.header(candidate)
        kind = table.kind_of(columns)
        if kind is not None:
            return Source.model_validate({"kind": kind, "path": candidate})
        there = ", ".join(columns[:20]) or "nothing that is a table"
        near = f" ({near})" if (near := table.closest(columns)) else ""
        reasons.append(
            f"{candidate.name} has no columns of image names and labels that are known, but {there}{near}"
        )
    if path.is_dir():
        if classes.found(path):
            return Source(kind="folder", path=path)
        reasons.append("it has no sub-folders called after classes (benign/ and malignant/, or diagnoses)")
    raise IngestError(
        f"{path} is not a data set that ingest knows: {'; '.join(reasons)}. Layouts: {', '.join(KINDS)}; for a table "
        "of your own name the columns image_name and diagnosis or target"
    )


def _tables(folder: Path) -> list[Path]:
    known = dict.fromkeys(name for names in TABLES.values() for name in names)
    first = [folder / name for name in known if (folder / name).is_file()]
    others = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    return first + [path for path in others if path not in first]
