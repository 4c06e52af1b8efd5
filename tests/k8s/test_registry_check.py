"""The nightly check finds what was changed behind the registry's back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.features import MODEL_NAME
from core.hashing import FACTS, fingerprint
from tests.k8s.test_agreement import program
from tests.support.version_records import version_record

CHANNELS = '{"stable": "7", "canary": null}\n'


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with version 7."""
    folder = tmp_path / "serving" / MODEL_NAME / "7"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"weights")
    (folder / FACTS).parent.mkdir()
    (folder / FACTS).write_text(json.dumps({"model_version": "7", "threshold": 0.3}))
    records = tmp_path / "registry" / MODEL_NAME
    records.mkdir(parents=True)
    (records / "7.json").write_text(version_record("7", fingerprint(folder)).model_dump_json())
    (records / "channels.json").write_text(CHANNELS)
    return tmp_path


def test_a_damaged_record_is_named_and_the_others_are_checked(workspace: Path) -> None:
    (workspace / "registry" / MODEL_NAME / "6.json").write_text('{"version": ')
    damaged, gone = program("check").problems(workspace)
    assert "6.json cannot be read" in damaged
    assert "version 6 is recorded, but" in gone


def test_all_is_well(workspace: Path) -> None:
    assert program("check").problems(workspace) == []


def test_changed_weights(workspace: Path) -> None:
    (workspace / "serving" / MODEL_NAME / "7" / "variables" / "variables.index").write_bytes(b"other")
    (problem,) = program("check").problems(workspace)
    assert problem.startswith("version 7 has fingerprint ")


def test_changed_threshold(workspace: Path) -> None:
    facts = workspace / "serving" / MODEL_NAME / "7" / FACTS
    facts.write_text(facts.read_text().replace("0.3", "0.9"))
    assert len(program("check").problems(workspace)) == 1


def test_a_folder_that_is_gone(workspace: Path) -> None:
    (workspace / "serving" / MODEL_NAME / "7" / "saved_model.pb").unlink()
    (problem,) = program("check").problems(workspace)
    assert problem.endswith("holds no SavedModel")


def test_a_served_version_without_a_record(workspace: Path) -> None:
    (workspace / "registry" / MODEL_NAME / "channels.json").write_text(CHANNELS.replace("7", "8"))
    assert program("check").problems(workspace) == ["stable is version 8, which the registry does not hold"]
