"""Many runs: the list as it is asked for, found, sorted and written into a file; up to five side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field
from sqlalchemy import select

from core.charts import performance
from core.charts.performance import NamedCurve
from core.measures.rates import Interval
from core.spreadsheet import table
from dashboard import charts, clock
from dashboard.access import Viewer
from dashboard.database.tables import RunNote
from dashboard.faults import present
from dashboard.page import ANSWERS, InQuery, ListPage, Page, Part, of_kind, paged, respond
from dashboard.readers.evidence import MEASURES
from dashboard.readers.runs import Run
from dashboard.security.roles import Person
from dashboard.services import Services, Using
from dashboard.time_range import EMPTY_IS_NONE, Days
from dashboard.words import differing

router = APIRouter(tags=["runs"])

PAGE = 25
MOST_COMPARED = 5
NO_CURVE = np.empty((0, 2))
CHARTED = 60
Sort = Literal["started", "auc", "sensitivity", "specificity", "seconds", "run_id"]
COLUMNS = (
    "run_id", "state", "preset", "started", "seconds", "data_version", "auc", "sensitivity", "specificity",
    "threshold", "version", "tags", "note", "archived", "origin", "reason",
)  # fmt: skip


class RunFilter(Days):
    """Which runs, in which order."""

    search: str = Field("", max_length=160, description="in name, reason, preset, tags and note")
    state: str = Field("", pattern=r"^[a-z]{0,16}$", description="only runs that ended so")
    preset: str = Field("", max_length=80)
    data: str = Field("", max_length=64, description="data version")
    tag: str = Field("", max_length=80)
    auc_from: Annotated[float | None, EMPTY_IS_NONE] = Field(None, ge=0, le=1, description="lowest AUC")
    archived: bool = Field(False, description="also those that were archived")
    sort: Sort = "started"
    order: Literal["down", "up"] = "down"
    page: int = Field(1, ge=1, le=100_000)


class ExportFilter(RunFilter):
    """Which runs, and as what."""

    to: Literal["csv", "json"] = "csv"


class RunsPage(ListPage):
    """Runs, filtered and sorted."""

    runs: tuple[Run, ...]
    states: dict[str, int] = Field(description="how many runs ended how")
    presets: tuple[str, ...]
    data_versions: tuple[str, ...]
    tags: tuple[str, ...]
    asked: RunFilter
    cluster_trouble: str
    damaged: tuple[str, ...] = Field(description="folders that cannot be a run's")
    may_edit: bool


@router.get("/", include_in_schema=False)
def root(_: Viewer) -> RedirectResponse:
    """The first page."""
    return RedirectResponse("/runs", status_code=303)


@router.get("/runs", response_model=RunsPage, responses=ANSWERS)
def runs(request: Request, using: Using, person: Viewer, asked: InQuery[RunFilter]) -> Response:
    """Runs of this workspace and of the cluster."""
    found, choices = matching(using, asked, person)
    place, first = paged(len(found), asked.page, PAGE)
    model = RunsPage(
        title="Runs",
        runs=tuple(found[first : first + PAGE]),
        **place,
        **choices,
        asked=asked,
        cluster_trouble=using.cluster.trouble,
        damaged=using.runs.damaged(),
        may_edit=person.may("reviewer"),
    )
    newest = sorted(found, key=lambda run: run.started or 0)[-CHARTED:]
    chart = charts.timeline(
        "AUC of the runs", "AUC on test", newest, {"AUC": "auc"}, moment="started", low=None, zone=person.zone
    )
    return respond(request, using, "runs.html", model, extra={"chart": chart})


@router.get("/runs/export", response_model=None, responses=of_kind("text/csv", "application/json"))
def export(using: Using, person: Viewer, asked: InQuery[ExportFilter]) -> Response:
    """Every run that matches, as one file."""
    rows = [run.model_dump(mode="json") for run in matching(using, asked, person)[0]]
    headers = {"Content-Disposition": f'attachment; filename="runs.{asked.to}"'}
    if asked.to == "json":
        return Response(json.dumps(rows, indent=1), media_type="application/json", headers=headers)
    for row in rows:
        row["started"] = clock.stamp(row["started"]) if row["started"] else ""
        row["tags"] = ", ".join(row["tags"])
    return Response(table(COLUMNS, rows), media_type="text/csv", headers=headers)


class Column(Part):
    """One of several runs."""

    run: Run
    auc: Interval | None
    average_precision: float | None
    brier: float | None
    calibration_error: float | None
    images: int


class ComparePage(Page):
    """Several runs side by side."""

    columns: tuple[Column, ...]
    choices: tuple[str, ...]
    differences: tuple[tuple[str, tuple[str, ...]], ...] = Field(
        description="settings that are not all equal"
    )


@router.get("/runs/compare", response_model=ComparePage, responses=ANSWERS)
def compare(
    request: Request,
    using: Using,
    _: Viewer,
    run: Annotated[list[str] | None, Query(max_length=MOST_COMPARED)] = None,
) -> Response:
    """Metrics, curves and settings of up to five runs."""
    columns, named, histories, configs = [], [], [], []
    for run_id in dict.fromkeys(run or []):
        found = present(using.runs.run(run_id), f"there is no run {run_id[:80]}")
        predictions = using.evidence.of_run(run_id)
        quality = using.evidence.quality(run_id)
        columns.append(
            Column(
                run=found,
                **{measure: getattr(quality, measure, None) for measure in MEASURES},
                images=len(predictions) if predictions else 0,
            )
        )
        # A run without a curve keeps its place in the legend: a colour is one run's on the whole page.
        named.append(
            NamedCurve(run_id, quality.roc, quality.auc.value) if quality else NamedCurve(run_id, NO_CURVE)
        )
        histories.append((run_id, using.evidence.epochs(run_id)))
        configs.append(using.runs.config(run_id))
    model = ComparePage(
        title="Compare runs",
        columns=tuple(columns),
        choices=tuple(using.runs.ids()[:200]),
        differences=differing(configs),
    )
    extra: dict[str, Any] = {
        "roc": charts.place(performance.roc(named)) if any(len(one.points) for one in named) else "",
        "training": [
            (
                f"{y_title[0].upper()}{y_title[1:]} by epoch",
                charts.by_epoch(
                    f"{y_title} by epoch", y_title, {name: (rows, key) for name, rows in histories}, low=low
                ),
            )
            for key, y_title, low in (
                ("eval_auc", "AUC on eval", None),
                ("loss", "training loss", None),
                ("false_negatives", "melanomas of eval missed at 0.5", 0.0),
            )
        ],
    }
    return respond(request, using, "compare.html", model, extra=extra)


def matching(using: Services, asked: RunFilter, person: Person) -> tuple[list[Run], dict[str, Any]]:
    """Return the runs that match, sorted, and the fields of a RunsPage that say what there is to choose from.

    Runs without the value that is sorted by come last.
    """
    found = noted(using, [*using.runs.all(), *using.cluster.runs()])
    first, end = asked.limits(person.zone)
    dated = asked.since or asked.until
    chosen = [
        run
        for run in found
        if _matches(run, asked) and (not dated or (run.started is not None and first <= run.started < end))
    ]
    choices = {
        "states": Counter(run.state for run in chosen),
        "presets": tuple(sorted({run.preset for run in found if run.preset})),
        "data_versions": tuple(dict.fromkeys(run.data_version for run in found if run.data_version)),
        "tags": tuple(sorted({tag for run in found for tag in run.tags})),
    }
    chosen = [run for run in chosen if not asked.state or run.state == asked.state]
    chosen.sort(key=lambda run: run.run_id, reverse=True)
    known = [run for run in chosen if getattr(run, asked.sort) is not None]
    known.sort(key=lambda run: getattr(run, asked.sort), reverse=asked.order == "down")
    return known + [run for run in chosen if getattr(run, asked.sort) is None], choices


def noted(using: Services, runs: Sequence[Run]) -> list[Run]:
    """Return the runs with what people added to them."""
    wanted = select(RunNote)
    if len(runs) == 1:
        wanted = wanted.where(RunNote.run_id == runs[0].run_id)
    with using.database.read() as session:
        notes = {row.run_id: row for row in session.scalars(wanted)}
    return [
        run.model_copy(
            update={
                "tags": split(row.tags),
                "note": row.note,
                "archived": row.archived is not None,
                "noted": row.changed,
            }
        )
        if (row := notes.get(run.run_id))
        else run
        for run in runs
    ]


def split(tags: str) -> tuple[str, ...]:
    """Return the words of a list of tags, each once."""
    return tuple(dict.fromkeys(tag for part in tags.split(",") if (tag := part.strip()[:80])))


def _matches(run: Run, asked: RunFilter) -> bool:
    if run.archived and not asked.archived:
        return False
    if (asked.preset and run.preset != asked.preset) or (asked.tag and asked.tag not in run.tags):
        return False
    if asked.data and not run.data_version.startswith(asked.data):
        return False
    if asked.auc_from is not None and (run.auc is None or run.auc < asked.auc_from):
        return False
    if not asked.search:
        return True
    text = "\n".join((run.run_id, run.reason, run.preset, run.note, *run.tags)).lower()
    return all(word in text for word in asked.search.lower().split())
