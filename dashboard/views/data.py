"""Data sets: balance, quarantine, duplicates, anomalies, and drift from one version to another."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.charts import marks
from core.features import SPLITS
from core.files import read_json
from core.images.decode import ImageRefusedError, thumbnail
from core.measures.drift import population_stability_index
from core.workspace import contained
from dashboard.access import Viewer
from dashboard.database.tables import DataCount, DataSet, Reference
from dashboard.faults import missing, present
from dashboard.field.features import FEATURES
from dashboard.page import ANSWERS, ListPage, Page, PageNumber, Part, of_kind, paged, respond
from dashboard.readers import statistics
from dashboard.readers.data_index import THUMBNAIL_SIDE, Quarantined, quarantine
from dashboard.readers.statistics import Anomaly
from dashboard.services import Services, Using
from dashboard.words import flat

router = APIRouter(prefix="/data", tags=["data"])

ROWS = 24
MOST_IMAGE = 32 << 20
COLUMNS = ("source", "anatom_site", "age_band", "sex", "diagnosis")


class Known(Part):
    """A data set that a run used."""

    version: str
    folder: str
    state: str = Field(description="ready, indexing, damaged, empty, or unknown")
    trouble: str
    images: int
    runs: tuple[str, ...]


class DataPage(Page):
    """All data sets."""

    data_sets: tuple[Known, ...]


class Count(Part):
    """Images with one value, by split."""

    value: str
    train: tuple[int, int] = Field(description="others, melanoma")
    eval: tuple[int, int]
    test: tuple[int, int]
    total: int
    positives: int


class Shift(Part):
    """How one column or feature differs from another data set."""

    name: str
    psi: float


class LeftOut(Part):
    """A file that was left out."""

    row: int = Field(description="its place in the list")
    name: str
    reason: str
    detail: str
    picture: bool = Field(description="it can be looked at")


class DataSetPage(ListPage):
    """One data set."""

    data_set: Known
    splits: Count | None
    balance: dict[str, tuple[Count, ...]]
    manifest: dict[str, Any]
    reasons: tuple[tuple[str, int], ...] = Field(description="why files were left out")
    quarantine: tuple[LeftOut, ...]
    anomalies: tuple[Anomaly, ...]
    anomalies_of: str = Field(description="the run that looked for them")
    against: str
    shifts: tuple[Shift, ...]
    others: tuple[str, ...]


@router.get("", response_model=DataPage, responses=ANSWERS)
def data_sets(request: Request, using: Using, _: Viewer) -> Response:
    """Every data set a run used, newest first."""
    model = DataPage(title="Data", data_sets=tuple(_known(using).values()))
    return respond(request, using, "data_sets.html", model)


@router.get("/{version}", response_model=DataSetPage, responses=ANSWERS)
def data_set(
    request: Request,
    using: Using,
    _: Viewer,
    version: str,
    against: Annotated[str, Query(max_length=64)] = "",
    page: PageNumber = 1,
) -> Response:
    """One data set."""
    known = _known(using)
    chosen = known.get(version)
    if chosen is None or (against and against not in known):
        raise missing(f"there is no data set {(against if chosen else version)[:64]}")
    folder = Path(chosen.folder)
    rows = quarantine(folder)
    place, first = paged(len(rows), page, ROWS)
    with using.database.read() as session:
        balance = _balance(session, version)
        shifts = _shifts(session, version, against) if against else []
    run_id, found = _anomalies(using, chosen.runs)
    model = DataSetPage(
        title=f"Data set {version[:12]}",
        data_set=chosen,
        splits=next(iter(balance.pop("all", ())), None),
        balance={column: balance[column] for column in COLUMNS if column in balance},
        manifest=_accounts(read_json(folder / "manifest.json") or {}),
        reasons=tuple(Counter(row.reason or "not said" for row in rows).most_common()),
        quarantine=tuple(
            LeftOut.of(row, row=i, picture=_file(using, folder, row) is not None)
            for i, row in enumerate(rows[first : first + ROWS], first)
        ),
        **place,
        anomalies=tuple(found),
        anomalies_of=run_id,
        against=against,
        shifts=tuple(sorted(shifts, key=lambda shift: -shift.psi)),
        others=tuple(name for name in known if name != version),
    )
    bars = {
        (column, row.value): marks.stacked(
            [
                (row.total - row.positives, "other", f"others: {row.total - row.positives}"),
                (row.positives, "melanoma", f"melanoma: {row.positives}"),
            ],
            width=240,
            height=12,
        )
        for column, counts in model.balance.items()
        for row in counts
    }
    return respond(request, using, "data_set.html", model, extra={"bars": bars})


@router.get("/{version}/quarantine/{row}", response_model=None, responses=of_kind("image/jpeg"))
def quarantined(using: Using, _: Viewer, version: str, row: int) -> Response:
    """A small picture of a file that was left out, where it can be decoded at all."""
    chosen = present(_known(using).get(version), "there is no such data set")
    folder = Path(chosen.folder)
    rows = quarantine(folder)
    found = _file(using, folder, rows[row]) if 0 <= row < len(rows) else None
    if found is None or found.stat().st_size > MOST_IMAGE:
        raise missing("the file is not there; source_dirs names the folders ingest read from")
    try:
        return Response(thumbnail(found.read_bytes(), THUMBNAIL_SIDE), media_type="image/jpeg")
    except ImageRefusedError as error:
        raise missing(f"there is no picture of it: it {error}") from None


def _file(using: Services, folder: Path, row: Quarantined) -> Path | None:
    """The file itself, below the data set or a configured source: the table is data, and may name any file."""
    places = (folder, *using.settings.source_dirs) if row.path else ()
    return next((found for place in places if (found := contained(place, row.path))), None)


def _accounts(document: dict[str, Any]) -> dict[str, Any]:
    """What a manifest says in single values, its counts included."""
    plain = {key: value for key, value in document.items() if not isinstance(value, list | dict)}
    counts = document.get("counts")
    return plain | {
        key: value for key, value in flat(counts if isinstance(counts, dict) else {}).items() if value
    }


def _known(using: Services) -> dict[str, Known]:
    runs: dict[str, list[str]] = {}
    folders: dict[str, str] = {}
    for run in using.runs.all():
        if run.data_version:
            runs.setdefault(run.data_version, []).append(run.run_id)
            folders.setdefault(run.data_version, run.data)
    with using.database.read() as session:
        indexed = {row.version: row for row in session.scalars(select(DataSet))}
    unknown = DataSet(state="unknown", trouble="", images=0)
    return {
        version: Known.of(
            indexed.get(version, unknown), version=version, folder=folders[version], runs=tuple(names[:20])
        )
        for version, names in runs.items()
    }


def _balance(session: Session, version: str) -> dict[str, tuple[Count, ...]]:
    cells: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
    for row in session.scalars(select(DataCount).where(DataCount.data_version == version)):
        cells.setdefault((row.column, row.value), {})[row.split] = (row.negatives, row.positives)
    result: dict[str, list[Count]] = {}
    for (column, value), splits in cells.items():
        pairs = {name: splits.get(name, (0, 0)) for name in SPLITS}
        result.setdefault(column, []).append(
            Count(
                value=value,
                total=sum(sum(pair) for pair in pairs.values()),
                positives=sum(pair[1] for pair in pairs.values()),
                **pairs,
            )
        )
    return {column: tuple(sorted(rows, key=lambda row: -row.total)[:ROWS]) for column, rows in result.items()}


def _shifts(session: Session, version: str, against: str) -> list[Shift]:
    """PSI of every column and image feature of the train split between two data sets."""
    sides: list[dict[str, dict[str, int]]] = []
    for one in (version, against):
        side: dict[str, dict[str, int]] = {}
        for row in session.scalars(
            select(DataCount).where(DataCount.data_version == one, DataCount.split == "train")
        ):
            if row.column == "all":
                side["melanoma"] = {"no": row.negatives, "yes": row.positives}
            else:
                side.setdefault(row.column, {})[row.value] = row.negatives + row.positives
        for bin_ in session.scalars(select(Reference).where(Reference.data_version == one)):
            side.setdefault(FEATURES[bin_.feature].title, {})[str(bin_.bin)] = bin_.count
        sides.append(side)
    result = []
    for name in sorted(sides[0].keys() & sides[1].keys()):
        keys = sorted(sides[0][name].keys() | sides[1][name].keys())
        mine, other = (np.array([side[name].get(key, 0) for key in keys], dtype=np.float64) for side in sides)
        psi = population_stability_index(other, mine)
        if psi is not None:
            result.append(Shift(name=name, psi=psi))
    return result


def _anomalies(using: Services, runs: tuple[str, ...]) -> tuple[str, list[Anomaly]]:
    for run_id in runs:
        folder = using.runs.output(run_id, "ExampleValidator", "anomalies")
        if folder is not None and folder.is_dir():
            return run_id, statistics.anomalies(folder)
    return "", []
