"""Puts the best settings found beside what the data gate accepted: the Trainer reads one file."""

# TFX reads these annotations at run time, so they cannot be postponed.
import json
from pathlib import Path
from typing import Any

# Not tfx.v1, which imports all of TFX: a step in a container takes two seconds of processor time longer with it.
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

FILE_NAME = "hyperparameters.json"


@component
def TunedHyperparameters(  # noqa: N802 - a component is a class to its users
    accepted: InputArtifact[standard_artifacts.HyperParameters],
    best: InputArtifact[standard_artifacts.HyperParameters],
    results: InputArtifact[standard_artifacts.TunerResults],
    hyperparameters: OutputArtifact[standard_artifacts.HyperParameters],
) -> None:
    """Write class weights and label counts, the best settings by dotted key, and all trials."""
    folder = Path(hyperparameters.uri)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(merged(*(only(Path(one.uri)) for one in (accepted, best, results))), indent=1)
    (folder / FILE_NAME).write_text(text + "\n")


def merged(accepted: dict[str, Any], best: dict[str, Any], trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the Trainer's hyperparameters: what the data gate emits, and what keras-tuner leaves.

    `best` holds the best trial's settings below `values`, `trials` an object a finished trial: trial_id, score, and a
    value a setting.
    """
    return {**accepted, "tuned": best["values"], "trials": trials}


def only(folder: Path) -> Any:
    """Return the content of the only JSON file of a folder."""
    (path,) = (item for item in folder.iterdir() if item.is_file())
    return json.loads(path.read_text())
