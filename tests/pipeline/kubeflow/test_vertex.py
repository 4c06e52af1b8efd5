"""Vertex AI through an object that stands for Google's client: what is asked of it, and how it is read."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from core.errors import UsageError
from pipeline.commands.submit import watch
from pipeline.targets.kubeflow import following
from pipeline.targets.vertex import Vertex

NAME = "projects/1/locations/europe-west4/pipelineJobs/melanosizer-1"


class _Platform:
    """`google.cloud.aiplatform`."""

    def __init__(self, states: list[str], details: list[Any]) -> None:
        platform = self
        self.asked: list[dict[str, Any]] = []

        class PipelineJob:
            resource_name = NAME
            error = SimpleNamespace(message="")
            task_details = details

            def __init__(self, **given: Any) -> None:
                platform.asked.append(given)

            @property
            def state(self) -> Any:
                return SimpleNamespace(name=states.pop(0) if len(states) > 1 else states[0])

            def submit(self, **given: Any) -> None:
                platform.asked.append(given)

            def create_schedule(self, **given: Any) -> Any:
                platform.asked.append(given)
                return SimpleNamespace(resource_name="schedule-1")

        self.PipelineJob = PipelineJob


def _task(name: str, state: str, message: str = "") -> Any:
    return SimpleNamespace(
        task_name=name, state=SimpleNamespace(name=state), error=SimpleNamespace(message=message)
    )


def _submit(platform: _Platform) -> tuple[Vertex, str]:
    service = Vertex("project", "europe-west4", service_account="runner@project", platform=platform)
    run_id = service.submit(
        Path("p.json"),
        experiment="nightly",
        name="monday",
        root="gs://b/r",
        parameters={"data": "gs://b/d"},
        cron="",
    )
    return service, run_id


def test_a_job_is_made_of_the_file_and_the_parameters() -> None:
    platform = _Platform(["PIPELINE_STATE_SUCCEEDED"], [])
    service, run_id = _submit(platform)
    assert platform.asked == [
        {
            "display_name": "monday",
            "template_path": "p.json",
            "pipeline_root": "gs://b/r",
            "parameter_values": {"data": "gs://b/d"},
            "project": "project",
            "location": "europe-west4",
        },
        {"service_account": "runner@project", "experiment": "nightly"},
    ]
    assert "melanosizer-1?project=project" in service.page(run_id)


def test_a_run_is_followed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.0)
    platform = _Platform(
        ["PIPELINE_STATE_RUNNING", "PIPELINE_STATE_FAILED"],
        [
            _task("Trainer", "SUCCEEDED"),
            _task("registry", "FAILED", "refused by a gate: auc is 0.5, must be >= 0.8"),
        ],
    )
    service, run_id = _submit(platform)
    stream = io.StringIO()
    assert watch(service, run_id, Console(file=stream, width=120)) == 3
    assert "registry: auc is 0.5, must be >= 0.8" in stream.getvalue()


def test_a_schedule_runs_one_at_a_time() -> None:
    platform = _Platform(["PIPELINE_STATE_SUCCEEDED"], [])
    service = Vertex("project", "europe-west4", platform=platform)
    made = service.submit(
        Path("p.json"), experiment="", name="weekly", root="gs://b/r", parameters={}, cron="0 3 * * 1"
    )
    assert made == "schedule-1"
    assert platform.asked[-1]["cron"] == "0 3 * * 1"
    assert platform.asked[-1]["max_concurrent_run_count"] == 1


def test_googles_refusal_is_one_sentence() -> None:
    platform = _Platform(["PIPELINE_STATE_SUCCEEDED"], [])

    def refuse(self: Any, **given: Any) -> None:
        raise RuntimeError("permission denied")

    platform.PipelineJob.submit = refuse  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="Vertex AI: RuntimeError: permission denied"):
        _submit(platform)


def test_a_project_is_needed() -> None:
    with pytest.raises(UsageError, match="--project and --location"):
        Vertex("", "", platform=object())
