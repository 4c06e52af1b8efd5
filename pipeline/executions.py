"""Reads back what a run left in the metadata store: the state of every step, its artifacts, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx.utils import path_utils

from components.evaluator import measured
from components.gate import anomalies
from core.hashing import FACTS
from core.records import lineage
from core.records.lineage import LineageArtifact
from core.records.verdict import OVERALL, Verdict
from pipeline.outcome import DONE, Outcome, Status, StepOutcome

if TYPE_CHECKING:
    from pipeline.dag import Locations

State = metadata_store_pb2.Execution.State


@dataclass(frozen=True)
class Step:
    """One step of a run."""

    name: str  # the component's class
    id: str  # in the pipeline
    state: str
    started: datetime
    finished: datetime
    inputs: dict[str, list[LineageArtifact]] = field(default_factory=dict)  # not hashed
    outputs: dict[str, list[LineageArtifact]] = field(default_factory=dict)  # not hashed
    parameters: dict[str, Any] = field(default_factory=dict)

    def output(self, name: str) -> LineageArtifact | None:
        """Return the only artifact of an output, or None."""
        return next(iter(self.outputs.get(name, [])), None)

    def folder(self, name: str) -> Path | None:
        """Return the folder of an output; None if the step is not done."""
        artifact = self.output(name) if self.state in DONE else None
        return Path(artifact.uri) if artifact else None


def steps(where: Locations) -> list[Step]:
    """Return the steps of one run in the order they ran; empty when the run is not known."""
    store = mlmd.MetadataStore(where.metadata)
    context = store.get_context_by_type_and_name("pipeline_run", where.run_id)
    if context is None:
        return []
    executions = sorted(store.get_executions_by_context(context.id), key=lambda item: item.id)
    types = {item.id: item.name for item in store.get_execution_types()}
    events = store.get_events_by_execution_ids([item.id for item in executions]) if executions else []
    artifacts = {
        item.id: LineageArtifact(
            type=item.type,
            uri=item.uri,
            sha256=None,
            properties=lineage.scalars(_values(item.custom_properties)),
        )
        for item in store.get_artifacts_by_id({event.artifact_id for event in events})
    }
    return [
        _step(item, types, _node(store, item.id), [e for e in events if e.execution_id == item.id], artifacts)
        for item in executions
    ]


def collect(
    where: Locations,
    steps: Sequence[Step],
    *,
    started: datetime,
    seconds: float,
    error: str,
    refused: Verdict | None = None,
) -> Outcome:
    """Read the verdicts and measurements of a run out of the artifacts that all its steps left.

    ``error`` is what a step raised, if one did, and ``refused`` the verdict it raised, if it is a gate.
    """
    by_name = {step.name: step for step in steps}
    verdicts = _verdicts(by_name)
    # A gate that raises leaves no outputs; what the data gate says lies beside the class balance, too.
    if refused is not None and refused.gate not in {verdict.gate for verdict in verdicts}:
        verdicts.append(refused)
    trained = _folder(by_name, "Trainer", "model")
    model = Path(path_utils.serving_model_path(str(trained))) if trained else None
    facts = json.loads((model / FACTS).read_text()) if model and (model / FACTS).exists() else {}
    evaluation = _folder(by_name, "Evaluator", "evaluation")
    slices = measured.load(evaluation) if evaluation else ()
    pusher = by_name.get("Pusher")
    artifact = pusher.output("pushed_model") if pusher else None
    pushed: Mapping[str, Any] = artifact.properties if artifact else {}
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
        steps=tuple(
            StepOutcome(
                name=step.name,
                state=step.state,
                seconds=round((step.finished - step.started).total_seconds(), 1),
                outputs={key: [item.uri for item in items] for key, items in step.outputs.items()},
            )
            for step in steps
        ),
    )


def _status(
    verdicts: Sequence[Verdict], steps: Sequence[Step], pushed: Mapping[str, Any], error: str
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
    # The model gate's verdict lies beside its figures, the serving gate's beside its blessing, whoever judges.
    for output in ("evaluation", "infra_blessing"):
        folders = [step.folder(output) for step in steps.values()]
        result += [Verdict.load(folder) for folder in folders if folder is not None]
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
    execution: Any, types: dict[int, str], node: str, events: list[Any], artifacts: dict[int, LineageArtifact]
) -> Step:
    kinds = metadata_store_pb2.Event.Type
    inputs: dict[str, list[LineageArtifact]] = {}
    outputs: dict[str, list[LineageArtifact]] = {}
    for event in events:
        key = next((step.key for step in event.path.steps if step.key), "")
        side = inputs if event.type in (kinds.INPUT, kinds.DECLARED_INPUT) else outputs
        side.setdefault(key, []).append(artifacts[event.artifact_id])
    return Step(
        name=types[execution.type_id].rsplit(".", 1)[-1],
        id=node,
        state=State.Name(execution.last_known_state),
        started=_time(execution.create_time_since_epoch),
        finished=_time(execution.last_update_time_since_epoch),
        inputs=inputs,
        outputs=outputs,
        parameters={
            key: value
            for key, value in _values(execution.custom_properties).items()
            if not key.startswith("__")
        },
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _values(properties: Any) -> dict[str, Any]:
    return {
        key: getattr(value, value.WhichOneof("value"))
        for key, value in properties.items()
        if value.WhichOneof("value")
    }
