"""A run is sent to a real MLflow server, and its lineage in the form that OpenLineage's own library writes."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
import venv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.errors import RunFaultError, UsageError
from core.records.lineage import LineageArtifact, LineageRecord, LineageStore
from core.workspace import Workspace
from pipeline.__main__ import app
from pipeline.ecosystem import finished_run
from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[3]
UV = ROOT / ".build" / "installer" / "bin" / "uv"
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VERSION = "1767323045"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One run that pushed a version, with two steps and two epochs."""
    place = Workspace(tmp_path / "w")
    place.prepare()
    folder = place.run("20260102-030405")
    folder.mkdir()
    model = tmp_path / "model"
    model.mkdir()
    (model / "saved_model.pb").write_bytes(b"graph")
    trained = place.artifacts / "Trainer" / "model_run" / "4"
    trained.mkdir(parents=True)
    (trained / "history.json").write_text(
        json.dumps({"epochs": [{"loss": 0.5, "eval_auc": 0.8}, {"loss": 0.4, "eval_auc": 0.9}]})
    )
    outcome: dict[str, Any] = {
        "run_id": folder.name, "status": "pushed", "reason": "", "preset": "quick", "data": "d", "data_version": "a" * 64,
        "started": STARTED.isoformat(), "seconds": 60.0, "version": VERSION, "model": str(model),
        "metrics": {
            "auc": 0.91, "auc_precision_recall": None, "slice": "overall", "true_positives": 30, "false_negatives": 4,
            "false_positives": 80, "true_negatives": 300,
        },
        "threshold": 0.1, "verdicts": [],
        "steps": [{"name": "Trainer", "state": "COMPLETE", "seconds": 1.0, "outputs": {"model_run": [str(trained)]}}],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(outcome))
    (folder / "config.json").write_text(
        json.dumps({"model_name": "melanoma", "trainer": {"seed": 3, "stages": [1, 2]}})
    )
    (folder / "report.html").write_text("<!doctype html><title>Report</title>")
    store = LineageStore(place.root)
    examples = LineageArtifact(type="Examples", uri="e", sha256="b" * 64)
    for number, (step, state, reason) in enumerate(
        (("Trainer", "COMPLETE", ""), ("Evaluator", "REFUSED", "auc is 0.5"))
    ):
        store.write(
            LineageRecord(
                run_id=folder.name, step=step, target="local", state=state, started=STARTED,
                finished=STARTED + timedelta(seconds=number + 1), software="0.1.0", inputs={"examples": (examples,)}, outputs={},
                configuration={}, configuration_sha256="c" * 64, reason=reason,
            )
        )  # fmt: skip
    return place


@pytest.fixture
def posted() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server on loopback that keeps what is sent to /api/v1/lineage."""
    found: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = self.path.rstrip("/") == "/api/v1/lineage"
            if known:
                found.append(content)
            self.send_response(201 if known else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", found
        server.shutdown()
        thread.join()


def send(workspace: Workspace, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["send", "--workspace", str(workspace.root), *arguments])


def test_each_step_is_a_start_and_an_end(
    workspace: Workspace, posted: tuple[str, list[dict[str, Any]]]
) -> None:
    url, found = posted
    done = send(workspace, "--openlineage", url)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "4 events" in done.output
    assert [event["eventType"] for event in found] == ["START", "COMPLETE", "START", "ABORT"]
    assert [event["job"]["name"] for event in found[1:3]] == ["pipeline.Trainer", "pipeline.Evaluator"]
    assert found[0]["run"]["runId"] == found[1]["run"]["runId"] != found[2]["run"]["runId"]
    assert found[0]["inputs"] == found[2]["inputs"]
    assert found[0]["inputs"][0]["name"] == f"Examples/{'b' * 64}"
    assert found[3]["run"]["facets"]["errorMessage"]["message"] == "auc is 0.5"
    assert found[0]["run"]["facets"]["parent"]["job"]["name"] == "pipeline"
    before = [event["run"]["runId"] for event in found]
    send(workspace, "--openlineage", url)
    assert [event["run"]["runId"] for event in found[4:]] == before


def test_what_cannot_be_sent_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    # OpenLineage's client tries five times, with longer and longer pauses.
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)
    assert isinstance(send(workspace).exception, UsageError)
    with pytest.raises(UsageError, match="no such finished run; valid are 20260102-030405"):
        finished_run.find(workspace, "1")
    fault = send(workspace, "--openlineage", "http://127.0.0.1:9").exception
    assert isinstance(fault, RunFaultError)
    assert str(fault).startswith("--openlineage http://127.0.0.1:9: ")
    (workspace.run("20260102-030405") / "run.json").write_text("{")
    with pytest.raises(UsageError, match=r"run\.json cannot be read"):
        finished_run.find(workspace, None)


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on loopback, in an environment of its own."""
    if not UV.exists():
        pytest.skip(f"{UV} is not there (python3 -m pipeline.bootstrap)")
    folder = tmp_path_factory.mktemp("mlflow")
    venv.create(folder / "environment", symlinks=False, with_pip=False)
    python = folder / "environment" / "bin" / "python"
    subprocess.run(
        [str(UV), "pip", "install", "--quiet", "--python", str(python), "mlflow>=3,<4"],
        check=True,
        timeout=900,
    )
    (port,) = free_ports(1)
    command = [
        str(python),
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder / 'db'}",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder) as server,
    ):
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 300
        try:
            while not _answers(f"{address}/health"):
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.5)
            yield address
        finally:
            server.terminate()
            server.wait(120)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - of loopback
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_and_its_model_are_on_the_mlflow_server_once(workspace: Workspace, mlflow_server: str) -> None:
    from mlflow import MlflowClient

    for _ in range(2):
        done = send(workspace, "--mlflow", mlflow_server)
        assert done.exit_code == 0, (done.output, done.exception)
    client = MlflowClient(mlflow_server, mlflow_server)
    experiment = client.get_experiment_by_name("melanosizer")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 60_000
    assert run.data.params == {"model_name": "melanoma", "trainer.seed": "3", "trainer.stages": "[1, 2]"}
    assert (run.data.metrics["auc"], run.data.metrics["true_negatives"]) == (0.91, 300)
    assert "auc_precision_recall" not in run.data.metrics
    assert [point.value for point in client.get_metric_history(run.info.run_id, "training.eval_auc")] == [
        0.8,
        0.9,
    ]
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"report.html", "model"}
    (version,) = client.search_model_versions("name='melanoma'")
    assert version.tags["melanosizer.version"] == VERSION
    fault = send(workspace, "--mlflow", "http://127.0.0.1:9", "--experiment", "x")
    assert fault.exit_code != 0
