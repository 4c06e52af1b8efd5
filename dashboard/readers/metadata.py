"""Steps and artifacts of runs: from TFX's ML Metadata, read while a run writes it, or from lineage records.

Tables and numbers are those of ml_metadata's schema version 10 (metadata_store.proto).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import Field

from core.records.lineage import LineageArtifact, LineageStore
from core.records.times import milliseconds
from core.settings import Frozen
from core.workspace import Workspace
from dashboard.faults import FaultError

PATIENCE_S = 2.0
STATES = {0: "UNKNOWN", 1: "PENDING", 2: "RUNNING", 3: "COMPLETE", 4: "FAILED", 5: "CACHED", 6: "CANCELED"}
INPUTS = (2, 3)  # DECLARED_INPUT, INPUT
OUTPUTS = (1, 4)  # DECLARED_OUTPUT, OUTPUT


class Artifact(Frozen):
    """One artifact."""

    id: int
    type: str
    key: str = Field(description="name of the input or output")
    uri: str


class Node(Frozen):
    """One step of a run."""

    name: str
    type: str
    state: str = Field(description="PENDING, RUNNING, COMPLETE, CACHED, FAILED, CANCELED or UNKNOWN")
    started: int | None = Field(description="milliseconds since 1970, UTC")
    seconds: float | None
    inputs: tuple[Artifact, ...]
    outputs: tuple[Artifact, ...]


class StoreDamagedError(FaultError):
    """The store cannot be read now."""

    def __init__(self, path: Path, error: Exception) -> None:
        text = f"{path} cannot be read ({error}): a run may hold it, or it is damaged"
        super().__init__(503, text, {"Retry-After": "5"})


class Metadata:
    """A reader of one store; a store that is not there yet has no runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def nodes(self, run_id: str) -> list[Node]:
        """The steps of a run in the order they began."""
        rows = self._rows(
            "SELECT e.id, t.name, e.last_known_state, e.create_time_since_epoch, e.last_update_time_since_epoch,"
            " (SELECT n.name FROM Association b JOIN Context n ON n.id = b.context_id JOIN Type nt"
            "  ON nt.id = n.type_id WHERE b.execution_id = e.id AND nt.name = 'node' AND nt.type_kind = 2 LIMIT 1)"
            " FROM Context c JOIN Type ct ON ct.id = c.type_id JOIN Association a ON a.context_id = c.id"
            " JOIN Execution e ON e.id = a.execution_id JOIN Type t ON t.id = e.type_id"
            " WHERE ct.name = 'pipeline_run' AND ct.type_kind = 2 AND c.name = ? ORDER BY e.id",
            run_id,
        )
        sides = self._artifacts([row[0] for row in rows]) if rows else {}
        return [
            Node(
                name=(name or kind).rsplit(".", 1)[-1],
                type=kind.rsplit(".", 1)[-1],
                state=STATES.get(state, "UNKNOWN"),
                started=begun,
                seconds=(ended - begun) / 1000 if state in (3, 4, 5, 6) else None,
                inputs=tuple(sides.get((number, True), ())),
                outputs=tuple(sides.get((number, False), ())),
            )
            for number, kind, state, begun, ended, name in rows
        ]

    def artifact(self, number: int) -> Artifact | None:
        """One artifact."""
        rows = self._rows(
            "SELECT a.id, t.name, a.uri FROM Artifact a JOIN Type t ON t.id = a.type_id WHERE a.id = ?",
            number,
        )
        return Artifact(id=rows[0][0], type=rows[0][1], key="", uri=rows[0][2] or "") if rows else None

    def producer(self, number: int) -> tuple[str, str]:
        """The run and the step that made an artifact; empty names if nothing did."""
        rows = self._rows(
            "SELECT c.name, t.name FROM Event v JOIN Execution e ON e.id = v.execution_id JOIN Type t ON"
            " t.id = e.type_id JOIN Association a ON a.execution_id = e.id JOIN Context c ON c.id = a.context_id"
            " JOIN Type ct ON ct.id = c.type_id WHERE v.artifact_id = ? AND v.type IN (1, 4)"
            " AND ct.name = 'pipeline_run' ORDER BY e.id LIMIT 1",
            number,
        )
        return (rows[0][0], rows[0][1].rsplit(".", 1)[-1]) if rows else ("", "")

    def _artifacts(self, executions: list[int]) -> dict[tuple[int, bool], list[Artifact]]:
        sides: dict[tuple[int, bool], list[Artifact]] = {}
        marks = ",".join("?" * len(executions))
        for execution, kind, number, name, uri, key in self._rows(
            "SELECT v.execution_id, v.type, a.id, t.name, a.uri,"  # noqa: S608 - the marks are question marks
            " (SELECT p.step_key FROM EventPath p WHERE p.event_id = v.id AND p.step_key IS NOT NULL LIMIT 1)"
            " FROM Event v JOIN Artifact a ON a.id = v.artifact_id JOIN Type t ON t.id = a.type_id"
            f" WHERE v.execution_id IN ({marks}) ORDER BY v.id",
            *executions,
        ):
            if kind in INPUTS or kind in OUTPUTS:
                found = Artifact(id=number, type=name, key=key or "", uri=uri or "")
                sides.setdefault((execution, kind in INPUTS), []).append(found)
        return sides

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds; nothing before there are tables: a run makes the file first."""
        if not self._path.exists():
            return []
        # Read-only, and patient with the run that writes.
        address = f"file:{quote(str(self._path))}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_S)) as store:
                made = store.execute(
                    "SELECT count(*) FROM sqlite_master WHERE name IN ('Association', 'EventPath')"
                )
                return store.execute(query, values).fetchall() if made.fetchone()[0] == 2 else []
        except sqlite3.Error as error:
            raise StoreDamagedError(self._path, error) from None


def recorded_nodes(workspace: Workspace, run_id: str) -> list[Node]:
    """The steps of a run by their lineage records: what a run on a cluster leaves, which has no metadata store here.

    In the order they began, in the store's words, which call a refusal a failure; artifacts have negative numbers and no
    page.
    """
    folder = workspace.lineage / run_id
    if not run_id or folder.parent != workspace.lineage or run_id in (".", ".."):
        return []
    # One number a place: the same artifact is one step's output and another's input.
    numbers: dict[str, int] = {}

    def artifacts(sides: dict[str, tuple[LineageArtifact, ...]]) -> tuple[Artifact, ...]:
        return tuple(
            Artifact(id=numbers.setdefault(one.uri, -1 - len(numbers)), type=one.type, key=key, uri=one.uri)
            for key, items in sides.items()
            for one in items
        )

    return [
        Node(
            name=record.step,
            type=record.step,
            state="FAILED" if record.state == "REFUSED" else record.state,
            started=milliseconds(record.started),
            seconds=(record.finished - record.started).total_seconds(),
            inputs=artifacts(record.inputs),
            outputs=artifacts(record.outputs),
        )
        for record in sorted(LineageStore(workspace.root).run(run_id), key=lambda one: one.started)
    ]
