"""What came of a run, read from what its steps left."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from core.records.lineage import LineageArtifact
from core.records.verdict import Verdict, at_least
from core.workspace import Workspace
from pipeline import executions
from pipeline.outcome import Outcome
from pipeline.targets import local

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def _collected(folder: Path, steps: list[executions.Step], refused: Verdict) -> Outcome:
    where = local.locations(
        workspace=Workspace(folder), data=folder, data_version="d" * 64, run_id="1", preset="smoke"
    )
    return executions.collect(where, steps, started=NOW, seconds=1.0, error="raised", refused=refused)


def test_any_gate_that_raises_refuses_the_run(tmp_path: Path) -> None:
    verdict = Verdict(gate="freshness", checks=(at_least("images", 1, 2),))
    result = _collected(tmp_path, [], verdict)
    assert (result.status, result.exit_code) == ("refused", 3)
    assert result.verdicts == (verdict,)
    assert result.reason == "images is 1, must be >= 2"


def test_what_the_data_gate_raises_is_told_once(tmp_path: Path) -> None:
    verdict = Verdict(gate="data", checks=(at_least("positives", 1, 2),))
    verdict.save(tmp_path)
    balance = LineageArtifact(type="ExampleAnomalies", uri=str(tmp_path), sha256=None, properties={})
    step = executions.Step(
        "ClassBalance", "class-balance", "COMPLETE", NOW, NOW, outputs={"balance": [balance]}
    )
    assert _collected(tmp_path, [step], verdict).verdicts == (verdict,)
