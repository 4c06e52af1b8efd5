"""Steps of a run that left lineage records and no metadata store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.workspace import Workspace
from dashboard.readers.metadata import recorded_nodes

MODEL = {"type": "Model", "uri": "s3://b/m", "sha256": "a" * 64, "properties": {}}


def _write(root: Path, run_id: str, step: str, minute: int, **changes: Any) -> None:
    folder = root / "registry" / "lineage" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "run_id": run_id,
        "step": step,
        "target": "kubeflow",
        "state": "COMPLETE",
        "software": "0.1.0",
        "configuration": {},
        "configuration_sha256": "b" * 64,
        "started": f"2026-11-22T03:{minute:02}:00Z",
        "finished": f"2026-11-22T03:{minute:02}:30Z",
        "inputs": {},
        "outputs": {},
    }
    (folder / f"{step}.json").write_text(json.dumps(content | changes))


def test_steps_are_joined_by_the_places_of_their_artifacts(tmp_path: Path) -> None:
    _write(tmp_path, "r", "Pusher", 5, inputs={"model": [MODEL]}, state="REFUSED")
    _write(tmp_path, "r", "Trainer", 1, outputs={"model": [MODEL]})
    trainer, pusher = recorded_nodes(Workspace(tmp_path), "r")
    assert (trainer.name, trainer.state, trainer.seconds) == ("Trainer", "COMPLETE", 30.0)
    assert pusher.state == "FAILED"
    assert trainer.outputs[0].id == pusher.inputs[0].id < 0


@pytest.mark.parametrize("run_id", ["", ".", "..", "../..", "absent", "a/b"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, run_id: str) -> None:
    _write(tmp_path, "a/b", "Trainer", 1)
    assert recorded_nodes(Workspace(tmp_path), run_id) == []


def test_a_broken_record_is_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, "r", "Trainer", 1)
    _write(tmp_path, "r", "Pusher", 2, started=None)
    _write(tmp_path, "r", "Transform", 3, inputs={"x": [{"type": "Model"}]})
    (tmp_path / "registry" / "lineage" / "r" / "Half.json").write_text("{")
    assert [node.name for node in recorded_nodes(Workspace(tmp_path), "r")] == ["Trainer"]
