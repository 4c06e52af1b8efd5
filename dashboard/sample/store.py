"""ML Metadata's tables as far as the dashboard reads them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

STEPS = (
    ("ImportExampleGen", "ImportExampleGen", (), (("examples", "Examples"),)),
    ("ImportSchemaGen", "ImportSchemaGen", (), (("schema", "Schema"),)),
    ("StatisticsGen", "StatisticsGen", ("examples", "schema"), (("statistics", "ExampleStatistics"),)),
    ("ExampleValidator", "ExampleValidator", ("statistics", "schema"), (("anomalies", "ExampleAnomalies"),)),
    ("class-balance", "ClassBalance", ("statistics", "examples"), (("balance", "ExampleAnomalies"),)),
    ("data-gate", "DataGate", ("balance", "anomalies"), (("accepted", "HyperParameters"),)),
    ("Transform", "Transform", ("examples", "schema", "accepted"), (("transform_graph", "TransformGraph"),)),
    ("Trainer", "Trainer", ("examples", "transform_graph", "accepted"), (("model", "Model"), ("model_run", "ModelRun"))),
    ("Evaluator", "Evaluator", ("examples", "model"), (("evaluation", "ModelEvaluation"), ("blessing", "ModelBlessing"))),
    ("serving-check", "ServingCheck", ("model", "examples"), (("infra_blessing", "InfraBlessing"),)),
    ("Pusher", "Pusher", ("model", "blessing", "infra_blessing"), (("pushed_model", "PushedModel"),)),
    ("registry", "RegistryRecord", ("pushed_model", "evaluation"), (("record", "HyperParameters"),)),
)  # fmt: skip
# ML Metadata's numbers of an execution's states.
RUNNING, COMPLETE, FAILED, CACHED = 2, 3, 4, 5
STATES = {RUNNING: "RUNNING", COMPLETE: "COMPLETE", FAILED: "FAILED", CACHED: "CACHED"}


class Store:
    """The metadata store of an example."""

    TABLES = """
    CREATE TABLE IF NOT EXISTS Type (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(255) NOT NULL, version VARCHAR(255), type_kind TINYINT(1) NOT NULL);
    CREATE TABLE IF NOT EXISTS Artifact (id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INT NOT NULL, uri TEXT, state INT, name VARCHAR(255));
    CREATE TABLE IF NOT EXISTS Execution (id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INT NOT NULL, last_known_state INT, name VARCHAR(255), create_time_since_epoch INT NOT NULL DEFAULT 0, last_update_time_since_epoch INT NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS Event (id INTEGER PRIMARY KEY AUTOINCREMENT, artifact_id INT NOT NULL, execution_id INT NOT NULL, type INT NOT NULL, milliseconds_since_epoch INT);
    CREATE TABLE IF NOT EXISTS EventPath (event_id INT NOT NULL, is_index_step TINYINT(1) NOT NULL, step_index INT, step_key TEXT);
    CREATE TABLE IF NOT EXISTS Context (id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INT NOT NULL, name VARCHAR(255) NOT NULL);
    CREATE TABLE IF NOT EXISTS Association (id INTEGER PRIMARY KEY AUTOINCREMENT, context_id INT NOT NULL, execution_id INT NOT NULL);
    CREATE INDEX IF NOT EXISTS idx_association_execution_id ON Association (execution_id);
    CREATE INDEX IF NOT EXISTS idx_association_context_id ON Association (context_id);
    CREATE INDEX IF NOT EXISTS idx_event_execution_id ON Event (execution_id);
    CREATE INDEX IF NOT EXISTS idx_event_artifact_id ON Event (artifact_id);
    CREATE INDEX IF NOT EXISTS idx_eventpath_event_id ON EventPath (event_id);
    """

    def __init__(self, path: Path) -> None:
        self._store = sqlite3.connect(path)
        self._store.executescript(self.TABLES)
        self._types: dict[tuple[str, int], int] = {}

    def run(
        self, root: Path, run_id: str, started: int, stop: int, last: int = COMPLETE
    ) -> tuple[list[dict[str, Any]], dict[str, Path]]:
        """Write the first `stop` steps of a run; the steps for run.json, and every output's folder.

        `last`: the state of the last of them.
        """
        context = self._insert("Context", type_id=self._type("pipeline_run", 2), name=run_id)
        artifacts: dict[str, int] = {}
        folders: dict[str, Path] = {}
        steps: list[dict[str, Any]] = []
        at = started
        for number, (name, kind, inputs, outputs) in enumerate(STEPS):
            for key, _ in outputs:
                folders[key] = root / "artifacts" / name / key / f"{run_id}"
            if number >= stop:
                continue
            state = CACHED if number < 2 and started % 2 else COMPLETE
            if number == stop - 1 and last != COMPLETE:
                state = last
            spent = (1 + (number * 7) % 11) * 4000 if state != CACHED else 40
            execution = self._insert(
                "Execution",
                type_id=self._type(f"components.{kind}", 0),
                last_known_state=state,
                name=f"{run_id}-{number}",
                create_time_since_epoch=at,
                last_update_time_since_epoch=at + spent,
            )
            node = self._insert("Context", type_id=self._type("node", 2), name=f"melanosizer.{name}")
            for one in (context, node):
                self._insert("Association", context_id=one, execution_id=execution)
            for key in inputs:
                if key in artifacts:
                    self._event(artifacts[key], execution, 3, key)
            made: dict[str, list[str]] = {}
            if state in (COMPLETE, CACHED):
                for key, type_name in outputs:
                    artifacts[key] = self._insert(
                        "Artifact", type_id=self._type(type_name, 1), uri=str(folders[key]), state=2
                    )
                    folders[key].mkdir(parents=True, exist_ok=True)
                    self._event(artifacts[key], execution, 4, key)
                    made[key] = [str(folders[key])]
            steps.append({"name": kind, "state": STATES[state], "seconds": spent / 1000, "outputs": made})
            at += spent
        self._store.commit()
        return steps, folders

    def close(self) -> None:
        """Close the file."""
        self._store.commit()
        self._store.close()

    def _event(self, artifact: int, execution: int, kind: int, key: str) -> None:
        event = self._insert("Event", artifact_id=artifact, execution_id=execution, type=kind)
        self._insert("EventPath", event_id=event, is_index_step=0, step_key=key)

    def _type(self, name: str, kind: int) -> int:
        if (name, kind) not in self._types:
            found = self._store.execute(
                "SELECT id FROM Type WHERE name = ? AND type_kind = ?", (name, kind)
            ).fetchone()
            self._types[name, kind] = found[0] if found else self._insert("Type", name=name, type_kind=kind)
        return self._types[name, kind]

    def _insert(self, table: str, **values: Any) -> int:
        marks = ", ".join("?" * len(values))
        cursor = self._store.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})",  # noqa: S608 - names of this module
            tuple(values.values()),
        )
        return int(cursor.lastrowid or 0)
