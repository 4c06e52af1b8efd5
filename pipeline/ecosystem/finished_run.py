"""What other tools are told of a finished run, read from what it left; needs neither TFX nor TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from core.errors import UsageError
from core.files import read_json
from core.records.lineage import LineageRecord, LineageStore
from core.workspace import Workspace

FILES = (
    "report.html",
    "model_card.html",
    "model_card.json",
    "data_card.html",
    "data_card.json",
    "run.log",
)


@dataclass(frozen=True)
class FinishedRun:
    """One run of a workspace."""

    run_id: str  # its name
    outcome: dict[str, Any]  # its run.json
    config: dict[str, Any]  # its configuration by dotted key
    steps: list[LineageRecord]  # its lineage records, in the order they ended
    folder: Path  # where its files lie
    history: list[dict[str, Any]]  # what the Trainer wrote of each epoch

    @property
    def started(self) -> datetime:
        """When it began, UTC."""
        return datetime.fromisoformat(str(self.outcome["started"]))

    @property
    def ended(self) -> datetime:
        """When it ended, UTC."""
        return self.started + timedelta(seconds=float(self.outcome["seconds"]))

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured on the test split."""
        return {
            name: float(value)
            for name, value in (self.outcome["metrics"] or {}).items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }

    @property
    def files(self) -> list[Path]:
        """The report, the cards and the log, as far as there are."""
        return [path for name in FILES if (path := self.folder / name).is_file()]


def choose(workspace: Workspace, run_id: str | None) -> str:
    """Return the name of a run that has ended; of the newest that is not a study's where none is named.

    Raises:
        UsageError: there is none.
    """
    ended = sorted((path.parent.name for path in workspace.existing().runs.glob("*/run.json")), reverse=True)
    if run_id in ended:
        return str(run_id)
    # Lazily: a workspace may hold thousands of runs, and the newest is nearly always one.
    own = (name for name in ended if not of_a_study(workspace.run(name)))
    newest = next(own, None)
    if newest is None:
        raise UsageError(
            f"--workspace {workspace.root}: no run has finished there yet; `melanosizer run` makes one"
        )
    if run_id:
        valid = ", ".join((newest, *islice(own, 9)))
        raise UsageError(f"--run {run_id}: no such finished run; valid are {valid}")
    return newest


def of_a_study(run: Path) -> bool:
    """Whether the run in a folder measured something that is never released as the melanoma model."""
    return str((read_json(run / "run.json") or {}).get("preset", "")).startswith("studies/")


def find(workspace: Workspace, run_id: str | None) -> FinishedRun:
    """Read the run that `choose` chooses.

    Raises:
        UsageError: there is none, or its record cannot be read.
    """
    chosen = choose(workspace, run_id)
    folder = workspace.run(chosen)
    try:
        outcome = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        history = _history(outcome, workspace)
        found = FinishedRun(
            chosen, outcome, dict(_flat(config)), LineageStore(workspace.root).run(chosen), folder, history
        )
        _ = found.started, found.ended, found.metrics
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"--run {chosen}: its record in {folder} cannot be read: {error}") from None
    return found


def _history(outcome: dict[str, Any], workspace: Workspace) -> list[dict[str, Any]]:
    for step in outcome["steps"]:
        for uri in step["outputs"].get("model_run", []) if step["name"] == "Trainer" else []:
            folder = workspace.located(uri)
            path = folder / "history.json" if folder else None
            if path and path.is_file():
                rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")).get("epochs", [])
                return rows
    return []


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    else:
        yield key, value
