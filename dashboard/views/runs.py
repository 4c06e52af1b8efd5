"""One run: its steps, verdicts, training, configuration, log and report; notes on it, and its stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from pydantic import Field

from core.numbers import duration
from core.records.verdict import Verdict
from dashboard import charts, clock
from dashboard.access import Approver, Reviewer, Viewer
from dashboard.database.tables import RunNote
from dashboard.faults import conflict, missing, present
from dashboard.graph import Box, graph
from dashboard.middleware import SANDBOX
from dashboard.page import ANSWERS, CHANGE, Page, Part, of_kind, respond
from dashboard.readers.cluster import Task
from dashboard.readers.evidence import Epoch
from dashboard.readers.metadata import Node, StoreDamagedError, recorded_nodes
from dashboard.readers.runs import Run
from dashboard.services import Services, Using
from dashboard.views import run_list
from dashboard.views.forms import FormData, InForm, go
from dashboard.words import differing, flat

router = APIRouter(tags=["runs"])

LOG_LINES = 400
TAIL_LINES = 40
LOG_BYTES = 512_000


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
    log_tail: tuple[str, ...] = Field(description="the end of the log of a run that came to no good end")
    damaged: tuple[str, ...] = Field(description="files of it that cannot be read")
    may_note: bool
    may_stop: bool


class LogPage(Page):
    """The end of a run's log."""

    run_id: str
    lines: tuple[str, ...]
    level: str
    shortened: bool


@router.get("/runs/{run_id}", response_model=RunPage, responses=ANSWERS)
def one(
    request: Request,
    using: Using,
    person: Viewer,
    run_id: str,
    against: Annotated[str, Query(max_length=120)] = "",
) -> Response:
    """One run: its steps, verdicts, training, configuration."""
    tasks: tuple[Task, ...] = ()
    run = using.runs.run(run_id)
    if run is None:
        remote = present(using.cluster.run(run_id), f"there is no run {run_id[:80]}")
        run, tasks = remote[0], tuple(remote[1])
    config = using.runs.config(run_id)
    other = using.runs.config(against) if against else {}
    if against and using.runs.folder(against) is None:
        raise missing(f"there is no run {against[:80]} to compare with")
    damaged: list[str] = [run.reason] if run.state == "damaged" else []
    try:
        nodes = _nodes(using, run)
    except StoreDamagedError as error:
        damaged.append(str(error))
        nodes = _recorded(using, run)
    run = run_list.noted(using, [run])[0]
    log_file = using.runs.file(run_id, "run.log")
    model = RunPage(
        title=f"Run {run.run_id}",
        run=run,
        nodes=tuple(nodes),
        tasks=tasks,
        verdicts=using.runs.verdicts(run_id),
        epochs=using.evidence.epochs(run_id),
        config=config,
        against=against,
        differences=tuple(
            Difference(key=key, mine=values[0], other=values[1])
            for key, values in (differing((config, other)) if against else ())
        ),
        others=tuple(name for name in using.runs.ids()[:60] if name != run_id),
        report=using.runs.file(run_id, "report.html") is not None,
        log=log_file is not None,
        log_tail=tuple(_tail(log_file, "")[0][-TAIL_LINES:])
        if log_file and run.state in ("failed", "interrupted", "damaged")
        else (),
        damaged=tuple(damaged),
        may_note=person.may("reviewer"),
        may_stop=person.may("approver") and run.state == "running",
    )
    restarts = _restarts(model.epochs)
    extra = {
        "dag": _dag(nodes),
        "loss": charts.by_epoch(
            "loss by epoch",
            "loss",
            {"train": (model.epochs, "loss"), "eval": (model.epochs, "eval_log_loss")},
            breaks=restarts,
        ),
        "auc": charts.by_epoch(
            "AUC by epoch", "AUC on eval", {"eval": (model.epochs, "eval_auc")}, breaks=restarts
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
    path = present(using.runs.file(run_id, "run.log"), f"run {run_id[:80]} has no log")
    lines, shortened = _tail(path, level)
    model = LogPage(
        title=f"Log of {run_id}", run_id=run_id, lines=tuple(lines), level=level, shortened=shortened
    )
    return respond(request, using, "log.html", model)


@router.get("/runs/{run_id}/report", include_in_schema=False)
def report(using: Using, _: Viewer, run_id: str) -> RedirectResponse:
    """The report, under the name that the links of its cards use."""
    present(using.runs.folder(run_id), f"there is no run {run_id[:80]}")
    return RedirectResponse(f"/runs/{quote(run_id, safe='')}/report.html", status_code=303)


@router.get("/runs/{run_id}/{name}", response_model=None, responses=of_kind("text/html", "application/json"))
def report_file(
    using: Using,
    _: Viewer,
    run_id: str,
    name: Literal["report.html", "model_card.html", "model_card.json", "data_card.html", "data_card.json"],
) -> Response:
    """The report and the cards the pipeline wrote; nothing in them may run."""
    path = present(
        using.runs.file(run_id, name),
        f"run {run_id[:80]} has no {name}; `melanosizer report --run {run_id[:80]}` writes it",
    )
    kind = "application/json" if name.endswith(".json") else "text/html"
    return FileResponse(path, media_type=kind, headers={"Content-Security-Policy": SANDBOX})


class NoteForm(FormData):
    """What a person adds to a run."""

    tags: str = Field("", max_length=400, description="words, separated by commas")
    note: str = Field("", max_length=4000)
    archived: bool = Field(False, description="left out of the list unless it is asked for")
    seen: int | None = Field(
        None, ge=0, description="when it was changed last, as the page showed it; 0 for never"
    )


@router.post("/runs/{run_id}/note", **CHANGE)
def note(using: Using, person: Reviewer, run_id: str, form: InForm[NoteForm]) -> RedirectResponse:
    """Keep tags and a note, or archive a run; its files stay as they are."""
    _there(using, run_id)
    with using.database.write() as session:
        kept = session.get(RunNote, run_id)
        if form.seen is not None and form.seen != (kept.changed if kept else 0):
            raise conflict(
                f"nothing was changed: {kept.changed_by if kept else 'somebody'} has changed this run's notes "
                "meanwhile: look again",
            )
        session.merge(
            RunNote(
                run_id=run_id,
                tags=", ".join(run_list.split(form.tags)),
                note=form.note,
                archived=((kept.archived if kept else None) or clock.now()) if form.archived else None,
                changed=clock.now(),
                changed_by=person.name,
            )
        )
        said = form.model_dump(include={"tags", "note", "archived"})
        using.audit.add(session, person.name, "run.note", run_id[:160], **said)
    using.pulse.tell("runs")
    return go(f"/runs/{quote(run_id, safe='')}")


@router.post("/runs/{run_id}/stop", **CHANGE)
def stop(using: Using, person: Approver, run_id: str) -> RedirectResponse:
    """Interrupt a run that is under way."""
    _there(using, run_id)
    trouble = using.runs.stop(run_id) if using.runs.folder(run_id) else using.cluster.stop(run_id)
    if trouble:
        raise conflict(trouble)
    with using.database.write() as session:
        using.audit.add(session, person.name, "run.stop", run_id[:160])
    using.pulse.tell("runs")
    return go(f"/runs/{quote(run_id, safe='')}")


def _there(using: Services, run_id: str) -> None:
    if using.runs.folder(run_id) is None and using.cluster.run(run_id) is None:
        raise missing(f"there is no run {run_id[:80]}")


def _nodes(using: Services, run: Run) -> list[Node]:
    """Steps from the metadata store, else from the lineage records or run.json.

    While a run goes on, those still to come are among them.
    """
    nodes = using.metadata.nodes(run.run_id) or _recorded(using, run)
    if nodes and run.state == "running":
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


def _recorded(using: Services, run: Run) -> list[Node]:
    return recorded_nodes(using.workspace, run.run_id) or [
        Node(
            name=str(step.get("name", "?")),
            type=str(step.get("name", "?")),
            state=str(step.get("state", "UNKNOWN")),
            started=None,
            seconds=step["seconds"] if isinstance(step.get("seconds"), int | float) else None,
            inputs=(),
            outputs=(),
        )
        for step in using.runs.steps(run.run_id)
    ]


def _dag(nodes: list[Node]) -> Any:
    producers = {artifact.id: node.name for node in nodes for artifact in node.outputs}
    edges = [
        (producers[artifact.id], node.name)
        for node in nodes
        for artifact in node.inputs
        if artifact.id in producers
    ]
    boxes = []
    for node in nodes:
        took = f" {duration(node.seconds)}" if node.seconds is not None else ""
        boxes.append(Box(node.name, node.name, node.state.lower() + took, node.state, f"#step-{node.name}"))
    if not edges:
        edges = [(a.name, b.name) for a, b in pairwise(nodes)]
    # A waiting step of an earlier run has inputs this run has not made yet: hang it behind the last that ran.
    done = [node.name for node in nodes if node.state != "PENDING"]
    waiting = [node.name for node in nodes if node.state == "PENDING"]
    if done and waiting:
        edges.append((done[-1], waiting[0]))
        edges += list(pairwise(waiting))
    return graph("steps of the run", boxes, edges)


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
