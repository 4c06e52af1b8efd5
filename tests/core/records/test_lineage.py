from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from core.hashing import content_hash
from core.records import lineage
from core.records.lineage import LineageArtifact, LineageRecord, LineageStore

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


def record(run_id: str = "r1", step: str = "Trainer", minutes: int = 0, **changes: Any) -> LineageRecord:
    content: dict[str, Any] = {
        "run_id": run_id,
        "step": step,
        "target": "local",
        "state": "COMPLETE",
        "started": BEGIN,
        "finished": BEGIN + timedelta(minutes=minutes),
        "software": "0.1.0",
        "inputs": {},
        "outputs": {"model": (LineageArtifact(type="Model", uri="s3://b/m", sha256="a" * 64),)},
        "configuration": {"seed": 17},
        "configuration_sha256": lineage.configuration_hash({"seed": 17}),
    }
    return LineageRecord.model_validate(content | changes)


def test_a_run_comes_back_in_the_order_its_steps_ended(tmp_path: Path) -> None:
    store = LineageStore(tmp_path)
    for step, minutes in (("Pusher", 9), ("Trainer", 5), ("Transform", 1)):
        store.write(record(step=step, minutes=minutes))
    store.write(record("r2"))
    assert [item.step for item in store.run("r1")] == ["Transform", "Trainer", "Pusher"]
    assert [item.run_id for item in store.all()] == ["r2", "r1", "r1", "r1"]


def test_another_attempt_replaces_the_record(tmp_path: Path) -> None:
    store = LineageStore(tmp_path)
    store.write(record(state="FAILED", reason="no memory"))
    path = store.write(record())
    assert [item.state for item in store.run("r1")] == ["COMPLETE"]
    assert [item.name for item in path.parent.iterdir()] == ["Trainer.json"]


def test_a_file_that_is_no_record_is_passed_over(tmp_path: Path) -> None:
    store = LineageStore(tmp_path)
    path = store.write(record())
    (path.parent / "Half.json").write_text('{"run_id": ')
    (path.parent / "Other.json").write_text('{"run_id": "x", "surplus": 1}')
    assert len(store.all()) == 1


def test_nothing_is_there_before_the_first_run(tmp_path: Path) -> None:
    assert LineageStore(tmp_path).all() == []
    assert LineageStore(tmp_path).run("r1") == []


def test_hashes_tell_contents_and_names_apart(tmp_path: Path) -> None:
    for name, file, text in (("a", "x", "1"), ("b", "x", "1"), ("c", "y", "1"), ("d", "x", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
    (tmp_path / "empty").mkdir()
    a, b, c, d = (content_hash(tmp_path / name) for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3
    assert content_hash(tmp_path / "empty") is None
    assert content_hash(tmp_path / "absent") is None
    assert content_hash(tmp_path / "a" / "x") != a


def test_the_order_of_parameters_does_not_matter() -> None:
    assert lineage.configuration_hash({"a": 1, "b": 2}) == lineage.configuration_hash({"b": 2, "a": 1})
    assert lineage.configuration_hash({"a": 1}) != lineage.configuration_hash({"a": 2})


def test_only_single_values_are_kept_of_properties() -> None:
    assert lineage.scalars({"blessed": 1, "nothing": None, "many": [1]}) == {"blessed": 1}


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="surplus"):
        record(surplus=1)
