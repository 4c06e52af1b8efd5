"""Runs: all of them, one, its log and report, and several side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from pydantic import Field

from core.charts import performance
from core.charts.performance import NamedCurve
from core.measures.rates import Interval
from core.records.verdict import Verdict
from core.workspace import contained
from dashboard import charts
from dashboard.access import Viewer
from dashboard.faults import missing
from dashboard.graph import Box, graph
from dashboard.middleware import SANDBOX
from dashboard.page import ANSWERS, Page, Part, of_kind, respond
from dashboard.readers import lineage, training
from dashboard.readers.cluster import Task
from dashboard.readers.metadata import Node
from dashboard.readers.runs import Run
from dashboard.readers.training import Epoch
from dashboard.services import Services, Using
from dashboard.words import duration, plain

router = APIRouter(tags=["runs"])

PAGE = 25
MOST_COMPARED = 5
LOG_LINES = 400
LOG_BYTES = 512_000
NO_CURVE = np.empty((0, 2))


class RunsPage(Page):
    """All runs, newest first."""

    runs: tuple[Run, ...]
    total: int
    page: int
    pages: int
    states: dict[str, int] = Field(description="how many runs ended how")
    state: str = Field(description="only runs that ended so; empty for all")
    cluster_trouble: str


class Difference(Part):
    """A setting that differs."""

    key: str
    mine: str
    other: str


class RunPage(Page):
    """One run."""

    run: Run
    nodes: tuple[Node, ...]
    tasks: tuple[Task, ...] = Field(description="steps of a run on the cluster")
    verdicts: tuple[Verdict, ...]
    epochs: tuple[Epoch, ...]
    config: dict[str, Any]
    against: str
    differences: tuple[Difference, ...]
    others: tuple[str, ...] = Field(description="runs to compare the configuration with")
    report: bool
    log: bool


class LogPage(Page):
    """The end of a run's log."""

    run_id: str
    lines: tuple[str, ...]
    level: str
    shortened: bool


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


@router.get("/", include_in_schema=False)
def root(_: Viewer) -> RedirectResponse:
    """The first page."""
    return RedirectResponse("/runs", status_code=303)


@router.get("/runs", response_model=RunsPage, responses=ANSWERS)
def runs(
    request: Request,
    using: Using,
    _: Viewer,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    state: Annotated[str, Query(pattern=r"^[a-z]{0,16}$")] = "",
) -> Response:
    """All runs, of this workspace and of the cluster."""
    found = sorted(
        [*using.runs.all(), *using.cluster.runs()],
        key=lambda run: (run.started or 0, run.run_id),
        reverse=True,
    )
    states: dict[str, int] = {}
    for run in found:
        states[run.state] = states.get(run.state, 0) + 1
    chosen = [run for run in found if not state or run.state == state]
    pages = max(1, -(-len(chosen) // PAGE))
    page = min(page, pages)
    shown = tuple(chosen[(page - 1) * PAGE : page * PAGE])
    model = RunsPage(
        title="Runs",
        runs=shown,
        total=len(chosen),
        page=page,
        pages=pages,
        states=states,
        state=state,
        cluster_trouble=using.cluster.trouble,
    )
    history = [
        (float(run.started), run.auc) for run in reversed(found[:60]) if run.auc is not None and run.started
    ]
    chart = charts.timeline("AUC of the runs", "AUC on test", {"AUC": history}, low=None)
    return respond(request, using, "runs.html", model, extra={"chart": chart})


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
        found = using.runs.run(run_id)
        if found is None:
            raise missing(f"there is no run {run_id[:80]}")
        predictions = using.evidence.of_run(run_id)
        quality = using.evidence.quality(run_id)
        columns.append(
            Column(
                run=found,
                auc=quality.auc if quality else None,
                average_precision=quality.average_precision if quality else None,
                brier=quality.brier if quality else None,
                calibration_error=quality.calibration_error if quality else None,
                images=len(predictions) if predictions else 0,
            )
        )
        # A run without a curve keeps its place in the legend: a colour is one run's on the whole page.
        named.append(
            NamedCurve(run_id, quality.roc, quality.auc.value) if quality else NamedCurve(run_id, NO_CURVE)
        )
        histories.append((run_id, _epochs(using, run_id)))
        configs.append(flat(using.runs.config(run_id)))
    keys = sorted({key for config in configs for key in config})
    rows = [(key, tuple(config.get(key, "–") for config in configs)) for key in keys]
    model = ComparePage(
        title="Compare runs",
        columns=tuple(columns),
        choices=tuple(using.runs.ids()[:200]),
        differences=tuple(row for row in rows if len(set(row[1])) > 1),
    )
    extra: dict[str, Any] = {
        "roc": charts.place(performance.roc(named)) if any(len(one.points) for one in named) else "",
        "training": [
            (
                f"{y_title[0].upper()}{y_title[1:]} by epoch",
                charts.lines(
                    f"{y_title} by epoch",
                    "epoch",
                    y_title,
                    {name: _line(rows_, key) for name, rows_ in histories},
                    low=low,
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


@router.get("/runs/{run_id}", response_model=RunPage, responses=ANSWERS)
def one(
    request: Request,
    using: Using,
    _: Viewer,
    run_id: str,
    against: Annotated[str, Query(max_length=120)] = "",
) -> Response:
    """One run: its steps, verdicts, training, configuration."""
    tasks: tuple[Task, ...] = ()
    run = using.runs.run(run_id)
    if run is None:
        remote = using.cluster.run(run_id)
        if remote is None:
            raise missing(f"there is no run {run_id[:80]}")
        run, tasks = remote[0], tuple(remote[1])
    folder = using.runs.folder(run_id)
    config = using.runs.config(run_id)
    other = using.runs.config(against) if against else {}
    if against and using.runs.folder(against) is None:
        raise missing(f"there is no run {against[:80]} to compare with")
    nodes = _nodes(using, run)
    model = RunPage(
        title=f"Run {run.run_id}",
        run=run,
        nodes=tuple(nodes),
        tasks=tasks,
        verdicts=using.runs.verdicts(run_id),
        epochs=tuple(_epochs(using, run_id)),
        config=config,
        against=against,
        differences=_differences(config, other) if against else (),
        others=tuple(name for name in using.runs.ids()[:60] if name != run_id),
        report=bool(folder and (folder / "report.html").is_file()),
        log=bool(folder and (folder / "run.log").is_file()),
    )
    extra = {
        "dag": _dag(nodes),
        "loss": charts.lines(
            "loss by epoch",
            "epoch",
            "loss",
            {"train": _line(model.epochs, "loss"), "eval": _line(model.epochs, "eval_log_loss")},
            breaks=_restarts(model.epochs),
        ),
        "auc": charts.lines(
            "AUC by epoch",
            "epoch",
            "AUC on eval",
            {"eval": _line(model.epochs, "eval_auc")},
            breaks=_restarts(model.epochs),
        ),
        "settings": sorted(flat(config).items()),
    }
    return respond(request, using, "run.html", model, extra=extra)


@router.get("/runs/{run_id}/log", response_model=LogPage, responses=ANSWERS)
def log_page(
    request: Request,
    using: Using,
    _: Viewer,
    run_id: str,
    level: Annotated[str, Query(pattern=r"^(|WARNING|ERROR)$")] = "",
) -> Response:
    """The end of a run's log."""
    folder = using.runs.folder(run_id)
    path = folder / "run.log" if folder else None
    if path is None or not path.is_file():
        raise missing(f"run {run_id[:80]} has no log")
    lines, shortened = _tail(path, level)
    model = LogPage(
        title=f"Log of {run_id}", run_id=run_id, lines=tuple(lines), level=level, shortened=shortened
    )
    return respond(request, using, "log.html", model)


@router.get(
    "/runs/{run_id}/report",
    response_model=None,
    responses=of_kind("text/html"),
)
def report(using: Using, _: Viewer, run_id: str) -> Response:
    """The report the pipeline wrote; nothing in it may run."""
    folder = using.runs.folder(run_id)
    path = contained(folder, "report.html") if folder else None
    if path is None:
        raise missing(f"run {run_id[:80]} has no report; `melanosizer report --run {run_id[:80]}` writes it")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": SANDBOX})


def flat(value: Any, path: str = "") -> dict[str, str]:
    """A configuration as one row a setting."""
    if isinstance(value, dict) and value:
        result: dict[str, str] = {}
        for key, inner in value.items():
            result |= flat(inner, f"{path}.{key}" if path else str(key))
        return result
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return {k: v for i, one in enumerate(value) for k, v in flat(one, f"{path}[{i}]").items()}
    return {path: plain(value)} if path else {}


def _differences(mine: dict[str, Any], other: dict[str, Any]) -> tuple[Difference, ...]:
    left, right = flat(mine), flat(other)
    return tuple(
        Difference(key=key, mine=left.get(key, "–"), other=right.get(key, "–"))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    )


def _nodes(using: Services, run: Run) -> list[Node]:
    """Steps from the metadata store, else from the lineage records or run.json.

    While a run goes on, those still to come are among them.
    """
    nodes = using.metadata.nodes(run.run_id) or lineage.nodes(using.workspace, run.run_id)
    if not nodes:
        return [
            Node(
                name=step.get("name", "?"),
                type=step.get("name", "?"),
                state=step.get("state", "UNKNOWN"),
                started=None,
                seconds=step.get("seconds"),
                inputs=(),
                outputs=(),
            )
            for step in using.runs.document(run.run_id).get("steps", [])
        ]
    if run.state == "running":
        earlier = max(
            (using.metadata.nodes(name) for name in using.runs.ids()[:6] if name != run.run_id),
            key=len,
            default=[],
        )
        known = {node.name for node in nodes}
        nodes += [
            node.model_copy(update={"state": "PENDING", "seconds": None, "started": None, "outputs": ()})
            for node in earlier
            if node.name not in known
        ]
    return nodes


def _dag(nodes: list[Node]) -> Any:
    producers = {artifact.id: node.name for node in nodes for artifact in node.outputs}
    edges = [
        (producers[artifact.id], node.name)
        for node in nodes
        for artifact in node.inputs
        if artifact.id in producers
    ]
    boxes = [
        Box(
            node.name,
            node.name,
            f"{node.state.lower()} {duration(node.seconds) if node.seconds is not None else ''}".strip(),
            node.state,
            f"#step-{node.name}",
        )
        for node in nodes
    ]
    if not edges:
        edges = [(a.name, b.name) for a, b in pairwise(nodes)]
    # A waiting step of an earlier run has inputs this run has not made yet: hang it behind the last that ran.
    done = [node.name for node in nodes if node.state != "PENDING"]
    waiting = [node.name for node in nodes if node.state == "PENDING"]
    if done and waiting:
        edges.append((done[-1], waiting[0]))
        edges += list(pairwise(waiting))
    return graph("steps of the run", boxes, edges)


def _epochs(using: Services, run_id: str) -> list[Epoch]:
    folder = using.evidence.model_run(run_id)
    return training.epochs(folder) if folder else []


def _line(rows: Any, name: str) -> list[tuple[float, float]]:
    values = [(i + 1, getattr(row, name)) for i, row in enumerate(rows)]
    return [(float(i), float(value)) for i, value in values if value is not None and np.isfinite(value)]


def _restarts(rows: Sequence[Epoch]) -> list[float]:
    """Return where another stage or another head begins: its epochs are counted from 1 again."""
    return [i + 1.5 for i, (a, b) in enumerate(pairwise(rows)) if b.stage != a.stage or b.epoch <= a.epoch]


def _tail(path: Path, level: str) -> tuple[list[str], bool]:
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - LOG_BYTES))
        text = stream.read().decode("utf-8", "replace")
    wanted = {"": (), "WARNING": (" WARNING ", " ERROR ", " CRITICAL "), "ERROR": (" ERROR ", " CRITICAL ")}[
        level
    ]
    lines = deque(
        (line for line in text.splitlines() if not wanted or any(mark in line for mark in wanted)), LOG_LINES
    )
    return list(lines), size > LOG_BYTES or len(lines) == LOG_LINES
