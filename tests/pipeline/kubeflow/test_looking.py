"""The local run's resolver rules, applied to lineage records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.evaluator.baseline import BlessedBeforeStrategy
from components.gate.component import LatestAcceptedStrategy
from components.ingest.errors import IngestError
from core.records.lineage import LineageArtifact, LineageRecord, LineageStore, configuration_hash
from core.workspace import Workspace
from pipeline.targets.kubeflow import looking

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
ACCEPTED = {"accepted": "tfx.HyperParameters"}
BLESSED = {"model": "tfx.Model", "model_blessing": "tfx.ModelBlessing"}


def _step(step: str, minutes: int, state: str = "COMPLETE", **outputs: LineageArtifact) -> LineageRecord:
    content: dict[str, Any] = {
        "run_id": f"run-{minutes}",
        "step": step,
        "target": "kubeflow",
        "state": state,
        "started": BEGIN,
        "finished": BEGIN + timedelta(minutes=minutes),
        "software": "0",
        "inputs": {},
        "outputs": {key: (item,) for key, item in outputs.items()},
        "configuration": {},
        "configuration_sha256": configuration_hash({}),
    }
    return LineageRecord.model_validate(content)


def _accepted(uri: str, version: str, role: str = "accepted_data") -> LineageArtifact:
    return LineageArtifact(
        type="HyperParameters", uri=uri, sha256=None, properties={"role": role, "data_version": version}
    )


def _judged(number: int, run_key: str, blessed: int) -> list[LineageRecord]:
    model = LineageArtifact(type="Model", uri=f"s3://b/m{number}", sha256=None)
    blessing = LineageArtifact(
        type="ModelBlessing",
        uri=f"s3://b/b{number}",
        sha256=None,
        # The id is another store's.
        properties={
            "blessed": blessed,
            "run_key": run_key,
            "current_model": model.uri,
            "current_model_id": "9",
        },
    )
    return [_step("Trainer", number, model=model), _step("Evaluator", number, blessing=blessing)]


class Manifest:
    """Of an ingested data set."""

    data_version = "d1"
    grown_from = ("d0",)

    @staticmethod
    def label_counts_of_spans() -> str:
        return '[{"negatives": 3, "positives": 1}]'


def test_what_the_runs_own_store_does_not_hold_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local run in the shared workspace left paths; KFP's launcher takes no artifact without an object store."""
    monkeypatch.setattr(looking.Manifest, "load", lambda _: Manifest)
    store = LineageStore(tmp_path / "ws")
    for minutes, uri in enumerate(
        ("s3://b/one", "minio://b/other", "s3://c/third", "/ws/artifacts/gate/accepted/4")
    ):
        store.write(_step("data-gate", minutes + 1, accepted=_accepted(uri, "d0")))
    strategy = f"{LatestAcceptedStrategy.__module__}.{LatestAcceptedStrategy.__qualname__}"
    query = {"strategy": strategy, "config": {"data_version": "other"}, "types": ACCEPTED}
    queries = json.dumps({"accepted-before": query})

    def found(own: str) -> Any:
        result = json.loads(
            looking.look_up(tmp_path / "data", tmp_path / "ws", queries, own)["accepted_before"]
        )
        return result["accepted"]["uri"] if result else None

    assert found("s3://b") == "s3://b/one"
    assert found("minio://b") == "minio://b/other"
    assert found("gs://b") is None


def test_a_first_run_finds_nothing() -> None:
    assert looking.resolve(LatestAcceptedStrategy("d1"), ACCEPTED, []) == {}
    assert looking.resolve(BlessedBeforeStrategy("k1.d1"), BLESSED, []) == {}


def test_the_newest_accepted_data_of_another_version_is_found() -> None:
    records = [
        _step("data-gate", 1, accepted=_accepted("s3://b/1", "d1")),
        _step("data-gate", 2, accepted=_accepted("s3://b/2", "d2")),
        _step("data-gate", 3, accepted=_accepted("s3://b/3", "d3")),
        _step("registry", 4, record=_accepted("s3://b/4", "d4", role="")),
    ]
    found = looking.resolve(LatestAcceptedStrategy("d3"), ACCEPTED, records)
    assert found["accepted"]["uri"] == "s3://b/2"
    assert found["accepted"]["properties"]["data_version"] == "d2"


def test_a_refused_step_leaves_no_baseline() -> None:
    records = [_step("data-gate", 1, "REFUSED", accepted=_accepted("s3://b/1", "d1"))]
    assert looking.resolve(LatestAcceptedStrategy("d2"), ACCEPTED, records) == {}


def test_the_newest_blessed_model_of_another_configuration_is_found() -> None:
    records = [
        *_judged(1, "k1.d1", 1),
        *_judged(2, "k2.d1", 1),
        *_judged(3, "k3.d1", 0),
        *_judged(4, "k4.d1", 1),
    ]
    found = looking.resolve(BlessedBeforeStrategy("k4.d1"), BLESSED, records)
    assert found["model"]["uri"] == "s3://b/m2"
    assert found["model_blessing"]["properties"]["run_key"] == "k2.d1"


def test_a_model_of_other_data_is_no_baseline() -> None:
    records = [*_judged(1, "k1.d1", 1), *_judged(2, "k1.d2", 1)]
    found = looking.resolve(BlessedBeforeStrategy("k4.d1"), BLESSED, records)
    assert found["model"]["uri"] == "s3://b/m1"
    assert looking.resolve(BlessedBeforeStrategy("k4.d3"), BLESSED, records) == {}


def test_what_was_found_does_not_change_with_a_further_run_of_the_same() -> None:
    records = [*_judged(1, "k1.d1", 1), *_judged(2, "k2.d1", 1)]
    before = looking.resolve(BlessedBeforeStrategy("k2.d1"), BLESSED, records)
    after = looking.resolve(BlessedBeforeStrategy("k2.d1"), BLESSED, [*records, *_judged(3, "k2.d1", 1)])
    assert before == after


def test_the_datas_version_comes_first_and_fills_the_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking.Manifest, "load", lambda _: Manifest)
    query = {
        "strategy": "components.gate.component.LatestAcceptedStrategy",
        "config": {"data_version": "@data_version@"},
        "types": ACCEPTED,
    }
    store = LineageStore(tmp_path / "ws")
    for minutes, version in ((1, "d0"), (2, "d1")):
        store.write(_step("data-gate", minutes, accepted=_accepted(f"s3://b/{version}", version)))
    found = looking.look_up(tmp_path, tmp_path / "ws", json.dumps({"accepted-before": query}), "s3://b")
    assert found["data_version"] == "d1"
    assert json.loads(found["grown_from"]) == ["d0"]
    assert json.loads(found["spans"]) == [{"negatives": 3, "positives": 1}]
    assert json.loads(found["accepted_before"])["accepted"]["uri"] == "s3://b/d0"
    Workspace(tmp_path / "ws").existing()


def test_a_folder_without_a_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="run melanosizer ingest"):
        looking.look_up(tmp_path, tmp_path / "ws", "{}", "s3://b")
