"""Sends a run's lineage as OpenLineage events: a start and an end for each step, with what it read and wrote."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import error_message_run, parent_run
from openlineage.client.transport.http import HttpConfig, HttpTransport

from core.errors import RunFaultError
from core.records.lineage import LineageArtifact, LineageRecord
from pipeline.ecosystem.finished_run import FinishedRun

NAMESPACE: Final = "melanosizer"
PRODUCER: Final = "https://pypi.org/project/melanosizer"
_ENDS = {
    "COMPLETE": RunState.COMPLETE,
    "CACHED": RunState.COMPLETE,
    "REFUSED": RunState.ABORT,
    "FAILED": RunState.FAIL,
}


def events(run: FinishedRun) -> list[RunEvent]:
    """Return the events of every step, in the order of their times; the same run gives the same ids."""
    parent = parent_run.ParentRunFacet(
        run=parent_run.Run(runId=_id(run.outcome.run_id, "")),
        job=parent_run.Job(namespace=NAMESPACE, name="pipeline"),
    )
    return [event for step in run.steps for event in _step(run.outcome.run_id, step, parent)]


def send(run: FinishedRun, url: str) -> int:
    """Send a run's events to a server of OpenLineage, such as Marquez, and return how many there were.

    Raises:
        RunFaultError: the server does not take them.
    """
    client = OpenLineageClient(transport=HttpTransport(HttpConfig(url=url)))
    found = events(run)
    try:
        for event in found:
            client.emit(event)
    except Exception as error:  # the library lets its transport's errors through, whichever it is
        raise RunFaultError(f"--openlineage {url}: {type(error).__name__}: {error}") from error
    return len(found)


def _step(run_id: str, step: LineageRecord, parent: parent_run.ParentRunFacet) -> list[RunEvent]:
    facets: dict[str, Any] = {"parent": parent}
    end = dict(facets)
    if step.reason:
        end["errorMessage"] = error_message_run.ErrorMessageRunFacet(step.reason, "Python")
    job = Job(namespace=NAMESPACE, name=f"pipeline.{step.step}")
    inputs = [InputDataset(NAMESPACE, name) for name in _names(step.inputs)]
    outputs = [OutputDataset(NAMESPACE, name) for name in _names(step.outputs)]
    started = RunEvent(
        eventTime=step.started.isoformat(),
        run=Run(_id(run_id, step.step), facets),
        job=job,
        producer=PRODUCER,
        eventType=RunState.START,
        inputs=inputs,
        outputs=outputs,
    )
    ended = attrs.evolve(
        started,
        eventTime=step.finished.isoformat(),
        eventType=_ENDS[step.state],
        run=Run(_id(run_id, step.step), end),
    )
    return [started, ended]


def _names(artifacts: Mapping[str, Sequence[LineageArtifact]]) -> list[str]:
    """Each artifact by type and content: equal data is one data set, wherever it lies."""
    return [f"{one.type}/{one.sha256 or one.uri}" for found in artifacts.values() for one in found]


def _id(run_id: str, step: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PRODUCER}/{run_id}/{step}"))
