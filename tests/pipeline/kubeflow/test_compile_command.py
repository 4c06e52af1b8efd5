"""`melanosizer compile`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from core.errors import UsageError
from pipeline.__main__ import app
from pipeline.targets.kubeflow import write

Spec = dict[str, Any]


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch, compiled: tuple[Spec, Spec], vertex_job: Spec) -> None:
    monkeypatch.setattr(write, "kubeflow", lambda *_, **__: list(compiled))
    monkeypatch.setattr(write, "vertex", lambda *_, **__: vertex_job)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compile", "--image", "img:1", "--config", "smoke", *arguments])


def test_kubeflow_is_two_documents_under_the_command_that_made_them(tmp_path: Path) -> None:
    out = tmp_path / "new" / "p.yaml"
    result = run("--out", str(out))
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(out)
    first = out.read_text().splitlines()[0]
    assert first == "# melanosizer compile --target kubeflow --config smoke --image img:1"
    spec, platform = yaml.safe_load_all(out.read_text())
    assert spec["schemaVersion"] == "2.1.0"
    assert set(platform) == {"platforms"}


def test_vertex_is_a_job(tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    result = run("--target", "vertex", "--out", str(out), "--data", "gs://b/d", "--workspace", "gs://b/w")
    assert result.exit_code == 0, result.output
    assert "pipelineSpec" in json.loads(out.read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "p.json"), "--target kubeflow writes a .yaml file"),
        (("--target", "vertex", "--out", "p.yaml"), "--target vertex writes a .json file"),
        (("--target", "vertex", "--out", "p.json"), "--data (not given): Vertex AI has no volumes"),
        (("--out", "p.yaml", "--workspace", "work"), "--workspace work: must be an absolute path"),
        (("--out", "p.yaml", "--image", " "), "name the pipeline's container image"),
        (("--out", "p.yaml", "--cluster", "absent.yaml"), "--cluster absent.yaml"),
    ],
)
def test_wrong_usage_says_what_would_be_right(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UsageError), result.output
    assert message in str(result.exception)
