"""The data of an earlier run, as a training outside of the pipeline takes it up: checked, accepted, analysed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from core.errors import UsageError
from core.workspace import Workspace
from pipeline.config import RunConfig
from pipeline.outcome import DONE, FILE_NAME, Outcome

_STEPS = (("ImportExampleGen", "examples"), ("Transform", "transform_graph"), ("DataGate", "accepted"))


@dataclass(frozen=True)
class Prepared:
    """What the data steps of a run left."""

    run_id: str  # the run
    data: str  # its ingested data set
    examples: Path  # folder with a folder of TFRecords a split
    transform: Path  # Transform's graph
    accepted: Path  # folder of the gate's hyperparameters
    tuned: Path | None  # folder of the tuner's, where the run had one

    def fn_args(self, config: RunConfig, workspace: Workspace, out: Path) -> SimpleNamespace:
        """Return what TFX would give the Trainer; model and run's files go below ``out``."""
        custom_config = config.custom_config(
            workspace=str(workspace.root.resolve()), cache=str(workspace.cache.resolve())
        )
        return SimpleNamespace(
            custom_config=custom_config,
            train_files=[str(self.examples / "Split-train" / "*")],
            eval_files=[str(self.examples / "Split-eval" / "*")],
            transform_output=str(self.transform),
            hyperparameters=_only_file(self.tuned if config.tuner and self.tuned else self.accepted),
            serving_model_dir=str(out / "model"),
            model_run_dir=str(out / "run"),
        )


def find(workspace: Workspace, run_id: str | None) -> Prepared:
    """Return the data of a run; of the newest whose data steps are done where none is named.

    Raises:
        UsageError: there is no such run, or its data steps are not done, or were done elsewhere.
    """
    folders = [workspace.run(run_id)] if run_id else sorted(workspace.existing().runs.iterdir(), reverse=True)
    said = ""
    for folder in folders:
        found = _read(folder)
        if isinstance(found, Prepared):
            return found
        said = said or f" ({found})"
    which = f"--run {run_id}" if run_id else f"--workspace {workspace.root}"
    raise UsageError(
        f"{which}: no run there whose data steps are done{said}; `melanosizer run --workspace {workspace.root}` "
        "makes one"
    )


def _read(folder: Path) -> Prepared | str:
    """The data of one run, or why there is none."""
    try:
        outcome = Outcome.load(folder)
    except FileNotFoundError:
        return f"{folder.name} has no {FILE_NAME}"
    except UsageError:  # damaged, or of other fields
        return f"{folder.name} was made by another release"
    done = {item.name for item in outcome.steps if item.state in DONE}
    places: list[Path] = []
    for name, output in _STEPS:
        place = outcome.uri(name, output) if name in done else None
        if place is None:
            return f"{folder.name} did not get past {name}"
        if not place.is_dir():
            return f"{place} of {folder.name} is not there: mount the workspace where the run had it"
        places.append(place)
    tuned = outcome.uri("TunedHyperparameters", "hyperparameters")
    examples, transform, accepted = places
    return Prepared(
        run_id=outcome.run_id,
        data=outcome.data,
        examples=examples,
        transform=transform,
        accepted=accepted,
        tuned=tuned if tuned and tuned.is_dir() else None,
    )


def _only_file(folder: Path) -> dict[str, Any]:
    (path,) = [item for item in folder.iterdir() if item.is_file()]
    content: dict[str, Any] = json.loads(path.read_text())
    return content
