"""A local run's lineage records."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from core.records.lineage import LineageArtifact, LineageStore
from pipeline import lineage
from pipeline.executions import Step


def _steps(tmp_path: Path) -> list[Step]:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    artifact = LineageArtifact(type="Model", uri=str(model), sha256=None, properties={"name": "m"})
    common = {
        name: datetime(2026, 1, 2, 3, 4, second, tzinfo=UTC)
        for second, name in enumerate(("started", "finished"))
    }
    return [
        Step(name="Trainer", state="COMPLETE", id="Trainer", outputs={"model": [artifact]}, parameters={"run_fn": "f"}, **common),
        Step(name="Transform", state="CACHED", id="Transform", **common),
        Step(name="DataGate", state="FAILED", id="data-gate", inputs={"model": [artifact]}, **common),
    ]  # fmt: skip


def test_every_step_gets_a_record(tmp_path: Path) -> None:
    lineage.write(_steps(tmp_path), run_id="r", workspace=tmp_path, refused=True, reason="overlap is 3")
    found = {item.step: item for item in LineageStore(tmp_path).run("r")}
    assert {step: item.state for step, item in found.items()} == {
        "Trainer": "COMPLETE",
        "Transform": "CACHED",
        "data-gate": "REFUSED",
    }
    assert found["data-gate"].reason == "overlap is 3"
    assert found["Trainer"].reason == ""
    assert found["Trainer"].configuration == {"run_fn": "f"}
    written, read = found["Trainer"].outputs["model"][0], found["data-gate"].inputs["model"][0]
    assert written == read
    assert written.sha256 is not None
    assert written.properties == {"name": "m"}


def test_a_fault_is_no_refusal(tmp_path: Path) -> None:
    lineage.write(_steps(tmp_path), run_id="r", workspace=tmp_path, refused=False, reason="OSError: disk")
    states = {item.step: item.state for item in LineageStore(tmp_path).run("r")}
    assert states["data-gate"] == "FAILED"
