"""The compiled pipeline, each task in a container of the pipeline's image, through the launcher's double."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.containers.engine import ROOT, Engine, Smoke

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]


def test_each_task_in_a_container(
    engine: Engine, pipeline_image: str, smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, report, workspace = tmp_path / "smoke.yaml", tmp_path / "report.json", tmp_path / "workspace"
    _python(
        *("-m", "pipeline", "compile", "--target", "kubeflow", "--config", "smoke"),
        *("--image", pipeline_image, "--out", str(file)),
    )
    (data,) = (path.parent for path in smoke.workspace.glob("data/*/manifest.json"))
    runner = (
        f"docker -H {engine.environment['DOCKER_HOST']}" if "DOCKER_HOST" in engine.environment else "docker"
    )
    said = _python(
        *(
            "-m",
            "tests.pipeline.kubeflow.launch",
            str(file),
            "--data",
            str(data),
            "--workspace",
            str(workspace),
        ),
        *("--container-runner", runner, "--report", str(report)),
    )
    (run,) = json.loads(report.read_text())
    with capsys.disabled():
        sys.stdout.write(f"\n{said}\n")
    assert not run["failed"]
    assert {task["state"] for task in run["reports"]} == {"SUCCEEDED"}
    channels = json.loads((workspace / "registry" / "melanoma" / "channels.json").read_text())
    assert (workspace / "serving" / "melanoma" / channels["stable"] / "saved_model.pb").is_file()


def _python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=3000
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout
