"""Reads back what a run left in the metadata store: the state of every step, its artifacts, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx.utils import path_utils

from components.evaluator import measured
from components.gate import anomalies
from core.hashing import FACTS
from core.records.verdict import OVERALL, Verdict
from pipeline.outcome import DONE, Outcome, Status, StepOutcome

if TYPE_CHECKING:
    from pipeline.dag import Locations

State = metadata_store_pb2.Execution.State


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

    def folder(self, name: str) -> Path | None:
        """Return the folder of an output; None if the step is not done."""
        artifact = self.output(name) if self.state in DONE else None
        return Path(artifact.uri) if artifact else None


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
        item.id: Artifact(item.id, item.type, item.uri, _values(item.custom_properties))
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


def collect(
    where: Locations, steps: Sequence[Step], *, started: datetime, seconds: float, error: str
) -> Outcome:
    """Read the verdicts and measurements of a run out of the artifacts that all its steps left.

    ``error`` is what a step raised, if one did.
    """
    by_name = {step.name: step for step in steps}
    verdicts = _verdicts(by_name)
    trained = _folder(by_name, "Trainer", "model")
    model = Path(path_utils.serving_model_path(str(trained))) if trained else None
    facts = json.loads((model / FACTS).read_text()) if model and (model / FACTS).exists() else {}
    evaluation = _folder(by_name, "Evaluator", "evaluation")
    slices = measured.load(evaluation) if evaluation else ()
    pusher = by_name.get("Pusher")
    artifact = pusher.output("pushed_model") if pusher else None
    pushed = artifact.properties if artifact else {}
    status, reason = _status(verdicts, steps, pushed, error)
    return Outcome(
        run_id=where.run_id,
        status=status,
        reason=reason,
        preset=where.preset,
        data=where.data,
        data_version=where.data_version,
        started=started,
        seconds=seconds,
        version=pushed.get("pushed_version") or pushed.get("unchanged"),
        model=str(model) if model else None,
        metrics=next((item for item in slices if item.slice == OVERALL), None),
        threshold=facts.get("threshold"),
        verdicts=tuple(verdicts),
        steps=tuple(StepOutcome.of(step) for step in steps),
    )


def _status(
    verdicts: Sequence[Verdict], steps: Sequence[Step], pushed: Mapping[str, str], error: str
) -> tuple[Status, str]:
    refusals = [check.sentence() for verdict in verdicts for check in verdict.refusals]
    if refusals:
        return "refused", "; ".join(refusals)
    if error:
        return "failed", error
    # LocalDagRunner carries on, and exits normally, where a step's inputs could not be resolved; only the store tells.
    left = [f"{step.name} ({step.state})" for step in steps if step.state not in DONE]
    if left:
        return "failed", f"unfinished steps: {', '.join(left)}"
    if pushed.get("pushed_version"):
        return "pushed", ""
    if pushed.get("unchanged"):
        return "unchanged", ""
    return "failed", "nothing was pushed, and no gate says why"


def _verdicts(steps: Mapping[str, Step]) -> list[Verdict]:
    result = []
    balance = _folder(steps, "ClassBalance", "balance")
    if balance is not None:
        verdict = Verdict.load(balance)
        found = _folder(steps, "ExampleValidator", "anomalies")
        if found is not None:
            splits = {
                path.name.removeprefix("Split-"): path
                for path in sorted(found.glob("Split-*"))
                if path.is_dir()
            }
            verdict = Verdict(gate="data", checks=(*anomalies.checks(splits), *verdict.checks))
        result.append(verdict)
    for step, output in (
        ("Evaluator", "evaluation"),
        ("SegmentationEvaluator", "evaluation"),
        ("ServingCheck", "infra_blessing"),
        ("SegmentationCheck", "infra_blessing"),
    ):
        folder = _folder(steps, step, output)
        if folder is not None:
            result.append(Verdict.load(folder))
    return result


def _folder(steps: Mapping[str, Step], name: str, output: str) -> Path | None:
    return steps[name].folder(output) if name in steps else None


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


def _values(properties: Any) -> dict[str, Any]:
    return {
        key: getattr(value, value.WhichOneof("value"))
        for key, value in properties.items()
        if value.WhichOneof("value")
    }
