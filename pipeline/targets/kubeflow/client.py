"""Submits compiled pipelines to a Kubeflow Pipelines API server (v2beta1) and reads back how they do."""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kfp
import kfp_server_api  # type: ignore[import-untyped]
import urllib3

from core.errors import UsageError
from pipeline.targets.kubeflow.following import BROKEN, RunState, RunStatus, StepState

_ATTEMPT = re.compile(r"\(\d+\)$")

STATUS: dict[str, RunStatus] = {
    "SUCCEEDED": "succeeded",
    "SKIPPED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "canceled",
}


class Kubeflow:
    """One API server."""

    def __init__(self, host: str, *, namespace: str = "", token: str = "", service_account: str = "") -> None:
        """Reach the server; `service_account` is whom the steps run as (empty: the namespace's default for runs).

        Raises:
            UsageError: no URL, or nothing there answers as a Kubeflow Pipelines server.
        """
        if urlsplit(host).scheme not in {"http", "https"}:
            raise UsageError(f"--host {host}: must be the API's URL, e.g. http://localhost:8888")
        self._host = host.rstrip("/")
        self._namespace = namespace
        self._service_account = service_account or None
        with self._told(), _quiet():
            self._ask_health(token)
            self._client: Any = kfp.Client(
                host=self._host, namespace=namespace or "kubeflow", existing_token=token or None
            )

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
        """Start a run and return its id; with ``cron`` a recurring run, one at a time and without catching up.

        Raises:
            UsageError: the server refuses it.
        """
        given = {
            "pipeline_package_path": str(package),
            "params": dict(parameters),
            "pipeline_root": root,
            "service_account": self._service_account,
        }
        with self._told(), _quiet():
            group = self._client.create_experiment(
                experiment, namespace=self._namespace or None
            ).experiment_id
            if not cron:
                return str(self._client.run_pipeline(group, name, **given).run_id)
            found = self._client.create_recurring_run(
                group, name, cron_expression=cron, max_concurrency=1, no_catchup=True, **given
            )
        return str(found.recurring_run_id)

    def read(self, run_id: str) -> RunState:
        """Return how a run does.

        Raises:
            OSError: the server cannot be reached now.
        """
        try:
            with _quiet():
                found = self._client.get_run(run_id)
        except (urllib3.exceptions.HTTPError, kfp_server_api.ApiException) as problem:
            raise OSError(f"{self._host}: {type(problem).__name__}") from None
        details = (found.run_details.task_details if found.run_details else None) or []
        return RunState(
            status=STATUS.get(str(found.state), "running"),
            steps=_steps(details),
            error=str(found.error.message) if found.error and found.error.message else "",
            logs=f"kubectl -n {self._namespace or 'kubeflow'} logs -l pipeline/runid={run_id} -c main --prefix",
        )

    def log(self, run_id: str, step: StepState) -> str:
        """Return what a step logged; empty where the server does not keep it."""
        texts = []
        for pod in step.pods:
            url = f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log"
            with contextlib.suppress(Exception), _quiet():  # only the reason of a failure is at stake
                answer, *_ = self._client._run_api.api_client.call_api(
                    url, "GET", auth_settings=["Bearer"], response_type="str", _request_timeout=10
                )
                texts.append(str(answer))
        return "\n".join(texts)

    def page(self, run_id: str) -> str:
        """Return the address of the run's page."""
        return f"{self._host}/#/runs/details/{run_id}"

    def _ask_health(self, token: str) -> None:
        """Ask once whether the server is there; KFP's client asks five times, with pauses and tracebacks."""
        configuration = kfp_server_api.Configuration(host=self._host)
        configuration.retries = 0
        if token:
            configuration.api_key = {"authorization": token}
            configuration.api_key_prefix = {"authorization": "Bearer"}
        api = kfp_server_api.HealthzServiceApi(kfp_server_api.ApiClient(configuration))
        api.healthz_service_get_healthz(_request_timeout=10)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the client raises into one sentence."""
        try:
            yield
        except kfp_server_api.ApiException as problem:
            body = str(problem.body or problem.reason or "").strip()[:500]
            raise UsageError(f"{self._host} answered {problem.status}: {body}") from None
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            raise UsageError(
                f"--host {self._host}: no Kubeflow Pipelines API answers there ({type(problem).__name__}); "
                "try kubectl -n kubeflow port-forward svc/ml-pipeline 8888"
            ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the client's notices, which it prints, out of our output."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _steps(details: Sequence[Any]) -> dict[str, StepState]:
    """Return one entry a step, by its task's id.

    Argo has several nodes for a step (KFP's backend/src/apiserver/resource/resource_manager.go lists them all): the
    step itself, `executor` inside it, `x-driver` before it, and of each that may be retried one `x(0)` an attempt.
    Names repeat, ids do not. What is KFP's own is shown only if it is broken.
    """
    result = {}
    own = {name for item in details if not _ATTEMPT.search(name := str(item.display_name or ""))}
    for item in details:
        name = str(item.display_name or item.task_id)
        base = _ATTEMPT.sub("", name)
        broken = str(item.state) in BROKEN
        if base == "root" or (name != base and base in own and not broken):
            continue
        if (base == "executor" or base.endswith("-driver")) and not broken:
            continue
        result[str(item.task_id or name)] = _step(item, base)
    named = {step.name for step in result.values() if step.name != "executor" and step.state in BROKEN}
    # Where the step itself says that it failed, its parts say nothing new, but for the names of their pods.
    pods = tuple(pod for step in result.values() if step.name == "executor" for pod in step.pods)
    if named:
        result = {key: step for key, step in result.items() if step.name != "executor"}
        if len(named) == 1:
            result = {
                key: replace(step, pods=(*step.pods, *pods)) if step.name in named else step
                for key, step in result.items()
            }
    return result


def _step(item: Any, name: str) -> StepState:
    pods = [item.pod_name, *(child.pod_name for child in item.child_tasks or ())]
    return StepState(
        name=name,
        state=str(item.state or "PENDING"),
        seconds=_seconds(item.start_time, item.end_time),
        error=str(item.error.message) if item.error and item.error.message else "",
        pods=tuple(str(pod) for pod in pods if pod),
        began=item.start_time.timestamp() if item.start_time else math.inf,
    )


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    if begin is None or end is None or end.year < 1971:
        return None
    return (end - begin).total_seconds()
