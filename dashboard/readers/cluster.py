"""Runs on the cluster, through the Kubeflow Pipelines API (v2beta1)."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime
from typing import Any

from core.settings import Frozen
from dashboard import clock
from dashboard.readers.runs import Run

log = logging.getLogger(__name__)

KEEP_S = 10.0
MOST_RUNS = 100
STATES = {
    "SUCCEEDED": "pushed",
    "FAILED": "failed",
    "CANCELED": "interrupted",
    "CANCELING": "interrupted",
    "RUNNING": "running",
    "PENDING": "running",
    "PAUSED": "running",
    "SKIPPED": "unchanged",
}


class Task(Frozen):
    """A step of a run on the cluster."""

    name: str
    state: str
    started: int | None
    seconds: float | None


class Cluster:
    """Reads KFP; its answer is kept for some seconds, for a page must not wait for a cluster twice."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = namespace
        self._held: tuple[float, list[Run]] = (0.0, [])
        self._lock = threading.Lock()
        self.trouble = ""

    def runs(self) -> list[Run]:
        """The newest runs; what could not be read is told by `trouble`."""
        if not self._url:
            return []
        with self._lock:
            at, held = self._held
            if time.monotonic() - at < KEEP_S and at:
                return held
            try:
                answer = self._api().run_service_list_runs(
                    namespace=self._namespace or None,
                    page_size=MOST_RUNS,
                    sort_by="created_at desc",
                    _request_timeout=5,
                )
                held = [_run(one) for one in answer.runs or []]
                self.trouble = ""
            except Exception as error:  # the generated client raises urllib3's errors and its own
                self.trouble = f"{self._url}: {type(error).__name__}"
                log.warning("the cluster's runs cannot be read: %s", error)
            self._held = (time.monotonic(), held)
            return held

    def run(self, run_id: str) -> tuple[Run, list[Task]] | None:
        """One run with its tasks; None where the cluster has no such run or does not answer."""
        if not self._url:
            return None
        try:
            found = self._api().run_service_get_run(run_id, _request_timeout=5)
        except Exception as error:
            log.info("no run %s on the cluster: %s", run_id, type(error).__name__)
            return None
        details = found.run_details.task_details if found.run_details else None
        return _run(found), [_task(one) for one in details or []]

    def stop(self, run_id: str) -> str:
        """Terminate a run on the cluster; what stood in the way, empty where it was told to stop."""
        try:
            self._api().run_service_terminate_run(run_id, _request_timeout=5)
        except Exception as error:  # the generated client raises urllib3's errors and its own
            return f"{self._url}: {type(error).__name__}"
        return ""

    def _api(self) -> Any:
        import kfp_server_api  # type: ignore[import-untyped]

        configuration = kfp_server_api.Configuration(host=self._url)
        configuration.retries = 0
        return kfp_server_api.RunServiceApi(kfp_server_api.ApiClient(configuration))


def _run(found: Any) -> Run:
    parameters = (found.runtime_config.parameters if found.runtime_config else None) or {}
    return Run(
        run_id=str(found.run_id),
        state=STATES.get(str(found.state), "running"),
        reason=str(found.error.message) if found.error and found.error.message else "",
        preset=str(parameters.get("preset", found.display_name or "")),
        started=_at(found.created_at),
        seconds=_span(found.created_at, found.finished_at),
        data=str(parameters.get("data", "")),
        data_version=str(parameters.get("data_version", "")),
        origin="cluster",
    )


def _task(found: Any) -> Task:
    return Task(
        name=str(found.display_name or found.task_id),
        state=str(found.state or "PENDING"),
        started=_at(found.start_time),
        seconds=_span(found.start_time, found.end_time),
    )


def _at(moment: datetime | None) -> int | None:
    return clock.of(moment) if moment is not None and moment.year > 1971 else None


def _span(begin: datetime | None, end: datetime | None) -> float | None:
    if begin is None or end is None or end.year < 1971:
        return None
    return (end - begin).total_seconds()
