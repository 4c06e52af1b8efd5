"""The dashboard and `melanosizer serve`, both as they start by default, but for the ports."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dashboard import sample
from dashboard.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300.0


def test_the_dashboard_looks_where_serve_listens_by_default() -> None:
    command = pytest.importorskip("pipeline.commands.serve")
    defaults = {name: one.default for name, one in inspect.signature(command.serve).parameters.items()}
    fields = Settings.model_fields
    metrics = urlsplit(str(fields["model_server_metrics_url"].default))
    assert fields["model_server"].default == f"{defaults['host']}:{defaults['port']}"
    assert (metrics.hostname, metrics.port) == (defaults["host"], defaults["rest_port"])


@pytest.fixture
def served(tmp_path: Path) -> Any:
    """`melanosizer serve` on a workspace with one version; its ports."""
    zoo = pytest.importorskip("tests.support.model_zoo")
    zoo.images(tmp_path / "live" / "serving" / "melanoma" / "1")
    ports = tmp_path / "ports.json"
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pipeline", "serve", "--workspace", str(tmp_path / "live")),
                *("--port=-1", "--rest-port=-1", "--flag", f"ports_file={ports}"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
        )
    try:
        _until(lambda: ports.is_file() or process.poll() is not None)
        assert ports.is_file(), (tmp_path / "serve.log").read_text()
        yield json.loads(ports.read_text())
    finally:
        process.terminate()
        try:
            process.wait(120)
        finally:
            process.kill()


def test_live_metrics_of_a_server_that_was_started_by_default_stand_on_the_page(
    served: Any, build: Any, workspace: Path
) -> None:
    shutil.copytree(
        workspace.parent / "live" / "serving" / "melanoma" / "1", workspace / "serving" / "melanoma" / "1"
    )
    address = urlsplit(str(Settings.model_fields["model_server_metrics_url"].default))
    running = build(
        model_server=f"127.0.0.1:{served['grpc']}",
        model_server_metrics_url=f"http://127.0.0.1:{served['rest']}{address.path}",
        sample_seconds=0.2,
    )
    person = running.signed_in("viewer")
    token = running.token("predict")
    scraper = running.services.scraper
    _until(lambda: bool(scraper.samples()))
    for _ in range(3):
        answer = running.client.post(
            "/api/v1/predict", headers=token, files={"image": ("a.jpg", sample.picture(3), "image/jpeg")}
        )
        assert answer.status_code == 200, answer.text
    _until(lambda: scraper.samples()[-1].ok >= 3)
    page = person.json("/serving")
    assert page["trouble"] == page["metrics_trouble"] == ""
    assert page["requests"] >= 3
    assert [one["state"] for one in page["versions"]] == ["AVAILABLE"]
    assert any(one["requests"] > 0 and one["p50_ms"] for one in page["history"])
    # A line needs two points: of one sample alone there is none.
    _until(lambda: "requests a second" in person.get("/serving").text)
    assert "No metrics" not in person.get("/serving").text


def _until(done: Any) -> None:
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
