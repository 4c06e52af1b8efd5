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
from pipeline.outcome import FILE_NAME, Outcome

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

    outcome: Outcome  # its run.json
    config: dict[str, Any]  # its configuration by dotted key
    steps: list[LineageRecord]  # its lineage records, in the order they ended
    folder: Path  # where its files lie
    history: list[dict[str, Any]]  # what the Trainer wrote of each epoch

    @property
    def ended(self) -> datetime:
        """When it ended, UTC."""
        return self.outcome.started + timedelta(seconds=self.outcome.seconds)

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured on the test split."""
        measured = self.outcome.metrics.model_dump() if self.outcome.metrics else {}
        return {name: float(value) for name, value in measured.items() if isinstance(value, int | float)}

    @property
    def files(self) -> list[Path]:
        """The report, the cards and the log, as far as there are."""
        return [path for name in FILES if (path := self.folder / name).is_file()]


def choose(workspace: Workspace, run_id: str | None) -> str:
    """Return the name of a run that has ended; of the newest that is not a study's where none is named.

    Raises:
        UsageError: there is none.
    """
    files = workspace.existing().runs.glob(f"*/{FILE_NAME}")
    ended = sorted((path.parent.name for path in files), reverse=True)
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
    return str((read_json(run / FILE_NAME) or {}).get("preset", "")).startswith("studies/")


def find(workspace: Workspace, run_id: str | None) -> FinishedRun:
    """Read the run that `choose` chooses.

    Raises:
        UsageError: there is none, or its record cannot be read.
    """
    chosen = choose(workspace, run_id)
    folder = workspace.run(chosen)
    outcome = Outcome.load(folder)
    trained = outcome.uri("Trainer", "model_run")
    place = workspace.located(str(trained)) if trained else None
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        history: dict[str, Any] = {}
        if place and (place / "history.json").is_file():
            history = json.loads((place / "history.json").read_text(encoding="utf-8"))
        steps = LineageStore(workspace.root).run(chosen)
        return FinishedRun(outcome, dict(_flat(config)), steps, folder, history.get("epochs", []))
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"--run {chosen}: its record in {folder} cannot be read: {error}") from None


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    else:
        yield key, value
