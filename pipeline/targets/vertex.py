"""Submits compiled pipelines to Vertex AI Pipelines and reads back how they do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import UsageError
from pipeline.targets.kubeflow.following import RunState, RunStatus, StepState

STATUS: dict[str, RunStatus] = {
    "PIPELINE_STATE_SUCCEEDED": "succeeded",
    "PIPELINE_STATE_FAILED": "failed",
    "PIPELINE_STATE_CANCELLED": "canceled",
}


class Vertex:
    """One project and region."""

    def __init__(
        self, project: str, location: str, *, service_account: str = "", platform: Any = None
    ) -> None:
        """Choose where to run, and whom the steps run as (empty: the project's default).

        Raises:
            UsageError: no project, or Google's client is not installed.
        """
        if not project or not location:
            raise UsageError("--target vertex needs --project and --location, e.g. --location europe-west4")
        if platform is None:
            try:
                from google.cloud import aiplatform as platform
            except ImportError:
                raise UsageError(
                    "--target vertex needs Google's client: pip install google-cloud-aiplatform"
                ) from None
        self._platform = platform
        self._project = project
        self._location = location
        self._service_account = service_account or None
        self._jobs: dict[str, Any] = {}

    def submit(
        self,
        package: Path,
        *,
        experiment: str,
        name: str,
        root: str,
        parameters: Mapping[str, str],
        cron: str,
    ) -> str:
        """Start a run, or with ``cron`` a schedule of one run at a time, and return its resource name.

        Raises:
            UsageError: Google refuses it.
        """
        job = self._platform.PipelineJob(
            display_name=name,
            template_path=str(package),
            pipeline_root=root,
            parameter_values=dict(parameters),
            project=self._project,
            location=self._location,
        )
        try:
            if cron:  # a schedule's runs belong to no experiment
                found = job.create_schedule(
                    display_name=name,
                    cron=cron,
                    max_concurrent_run_count=1,
                    service_account=self._service_account,
                )
                return str(found.resource_name)
            job.submit(service_account=self._service_account, experiment=experiment or None)
        except Exception as problem:  # the client raises google.api_core's and google.auth's errors alike
            raise UsageError(f"Vertex AI: {type(problem).__name__}: {problem}") from None
        self._jobs[job.resource_name] = job
        return str(job.resource_name)

    def read(self, run_id: str) -> RunState:
        """Return how a run does.

        Raises:
            OSError: Google cannot be reached now.
        """
        job = self._jobs.get(run_id) or self._platform.PipelineJob.get(
            run_id, project=self._project, location=self._location
        )
        try:
            state, details = job.state.name, job.task_details
        except Exception as problem:  # whatever the client raises, the run goes on
            raise OSError(f"Vertex AI: {type(problem).__name__}") from None
        return RunState(
            status=STATUS.get(state, "running"),
            steps={item.task_name: _step(item) for item in details if item.task_name},
            error=str(getattr(job.error, "message", "") or ""),
        )

    def log(self, run_id: str, step: StepState) -> str:
        """Return nothing: Cloud Logging keeps the logs, and the step's error names the place."""
        del run_id, step
        return ""

    def page(self, run_id: str) -> str:
        """Return the address of the run's page."""
        return (
            f"https://console.cloud.google.com/vertex-ai/locations/{self._location}/pipelines/runs/"
            f"{run_id.rsplit('/', 1)[-1]}?project={self._project}"
        )


def _step(item: Any) -> StepState:
    return StepState(
        name=item.task_name,
        state=item.state.name.removeprefix("STATE_"),
        error=str(getattr(item.error, "message", "") or ""),
    )
