"""`melanosizer models`: what people see and do with released versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from core.errors import UsageError
from core.features import MODEL_NAME
from core.registry.model_server_config import read
from core.registry.store import Registry
from core.workspace import Workspace
from pipeline.__main__ import app
from pipeline.commands.serve import _settling
from tests.support.version_records import version_record


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three released versions, and no server to wait for."""
    monkeypatch.setenv("MELANOSIZER_SETTLE_SECONDS", "0")
    Workspace(tmp_path).prepare()
    registry = Registry(tmp_path, MODEL_NAME)
    for version in ("1", "2", "3"):
        (registry.served / version).mkdir(parents=True)
        (registry.served / version / "saved_model.pb").touch()
        registry.add(version_record(version), who="run", why="good")
    registry.settle()
    return tmp_path


def models(workspace: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments, "--workspace", str(workspace)])


def test_one_damaged_record_takes_no_other_out_of_the_list(workspace: Path) -> None:
    (workspace / "registry" / MODEL_NAME / "2.json").write_text("{}")
    result = models(workspace, "list", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["version"], row["created (UTC)"] == "damaged") for row in rows] == [
        ("3", False),
        ("2", True),
        ("1", False),
    ]
    assert "2.json cannot be read" in " ".join(result.stderr.split())
    shown = models(workspace, "show", "2")
    assert isinstance(shown.exception, UsageError)
    assert "restore it from a backup" in str(shown.exception)


def test_promote_canary_and_rollback_end_when_servers_answer_with_it(workspace: Path) -> None:
    config = workspace / "serving" / "models.config"
    assert "serving version 1" in models(workspace, "promote", "1", "--why", "better").output
    assert "canary: version 3" in models(workspace, "canary", "3", "--why", "try it").output
    text = config.read_text()
    assert '"stable"' in text
    assert '"canary"' in text
    assert "the canary is ended" in models(workspace, "canary", "--why", "enough").output
    assert '"canary"' not in config.read_text()
    assert "rolled back: serving version 3" in models(workspace, "rollback", "--why", "worse").output


def test_a_release_that_servers_have_not_loaded_is_settled_later(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELANOSIZER_SETTLE_SECONDS", "600")
    Registry(workspace, MODEL_NAME).promote("1", "a", "b")
    assert "version 1 not served yet: servers that poll models.config are given" in " ".join(
        models(workspace, "settle").output.split()
    )
    monkeypatch.setenv("MELANOSIZER_SETTLE_SECONDS", "0")
    assert "labels are as decided" in models(workspace, "settle").output


def test_the_embedded_server_serves_the_files_of_the_workspace_it_was_given(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A copied workspace's models.config names the folders that it was copied from."""
    copy = tmp_path_factory.mktemp("elsewhere") / "workspace"
    shutil.copytree(workspace, copy)
    with _settling(copy):
        (model,) = read((copy / "serving" / "models.config").read_text())
    assert model.base_path == str((copy / "serving" / MODEL_NAME).resolve())
    (model,) = read((workspace / "serving" / "models.config").read_text())
    assert model.base_path == str((workspace / "serving" / MODEL_NAME).resolve())
    with _settling(tmp_path_factory.mktemp("empty")):
        pass


def test_the_only_version_has_none_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELANOSIZER_SETTLE_SECONDS", "0")
    Workspace(tmp_path).prepare()
    registry = Registry(tmp_path, MODEL_NAME)
    (registry.served / "1").mkdir(parents=True)
    (registry.served / "1" / "saved_model.pb").touch()
    registry.add(version_record("1"), who="run", why="good")
    registry.settle()
    result = models(tmp_path, "rollback", "--why", "worse")
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == (
        f"no version of {MODEL_NAME} was served before 1, and it is the only one: there is nothing to roll back to"
    )
    assert registry.channels().stable == "1"
