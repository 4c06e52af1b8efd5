"""Reads back what a run left in the metadata store: the state of every step, and its artifacts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

State = metadata_store_pb2.Execution.State
DONE = frozenset({"COMPLETE", "CACHED"})


@dataclass(frozen=True)
class Artifact:
    """One artifact: where it is, and what was noted on it."""

    id: int
    type: str
    uri: str
    properties: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One step of a run."""

    name: str
    state: str
    seconds: float
    inputs: dict[str, list[Artifact]] = field(default_factory=dict)
    outputs: dict[str, list[Artifact]] = field(default_factory=dict)
    id: str = ""
    started_ms: int = 0
    finished_ms: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)

    def output(self, name: str) -> Artifact | None:
        """Return the only artifact of an output, or None."""
        return next(iter(self.outputs.get(name, [])), None)


def steps(connection: metadata_store_pb2.ConnectionConfig, run_id: str) -> list[Step]:
    """Return the steps of one run in the order they ran; empty when the run is not known."""
    store = mlmd.MetadataStore(connection)
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    if context is None:
        return []
    executions = sorted(store.get_executions_by_context(context.id), key=lambda item: item.id)
    types = {item.id: item.name for item in store.get_execution_types()}
    events = store.get_events_by_execution_ids([item.id for item in executions]) if executions else []
    artifacts = {
        item.id: _artifact(item)
        for item in store.get_artifacts_by_id({event.artifact_id for event in events})
    }
    return [
        _step(
            item,
            types,
            _node(store, item.id),
            [e for e in events if e.execution_id == item.id],
            artifacts,
        )
        for item in executions
    ]


def unfinished(done: Iterable[Step]) -> list[Step]:
    """Return the steps that neither completed nor came from the cache.

    LocalDagRunner carries on, and exits normally, where a step's inputs could not be resolved; only
    the store tells.
    """
    return [step for step in done if step.state not in DONE]


def _node(store: Any, execution_id: int) -> str:
    """Return the step's id in the pipeline; its context is named `<pipeline>.<id>`."""
    for context in store.get_contexts_by_execution(execution_id):
        if context.type == "node":
            return str(context.name.partition(".")[2])
    return ""


def _step(
    execution: Any, types: dict[int, str], node: str, events: list[Any], artifacts: dict[int, Artifact]
) -> Step:
    kinds = metadata_store_pb2.Event.Type
    inputs: dict[str, list[Artifact]] = {}
    outputs: dict[str, list[Artifact]] = {}
    for event in events:
        key = next((step.key for step in event.path.steps if step.key), "")
        side = inputs if event.type in (kinds.INPUT, kinds.DECLARED_INPUT) else outputs
        side.setdefault(key, []).append(artifacts[event.artifact_id])
    return Step(
        name=types[execution.type_id].rsplit(".", 1)[-1],
        state=State.Name(execution.last_known_state),
        seconds=(execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000,
        inputs=inputs,
        outputs=outputs,
        id=node,
        started_ms=execution.create_time_since_epoch,
        finished_ms=execution.last_update_time_since_epoch,
        parameters={
            key: value
            for key, value in _values(execution.custom_properties).items()
            if not key.startswith("__")
        },
    )


def _artifact(message: Any) -> Artifact:
    return Artifact(
        id=message.id,
        type=message.type,
        uri=message.uri,
        properties=_values(message.custom_properties),
    )


def _values(properties: Any) -> dict[str, Any]:
    return {
        key: getattr(value, value.WhichOneof("value"))
        for key, value in properties.items()
        if value.WhichOneof("value")
    }
