"""What came out of a run: the verdicts, the version, the measurements, and where everything lies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field
from tfx.utils import path_utils

from components.evaluator import measured
from components.gate import anomalies
from core.errors import FAULT, REFUSED, UsageError
from core.hashing import FACTS
from core.records.evaluation import SliceMetrics
from core.records.verdict import OVERALL, Verdict
from core.registry.store import Registry
from core.settings import Frozen
from pipeline.executions import DONE, Step, unfinished

Status = Literal["pushed", "unchanged", "refused", "failed"]
EXIT_CODES: dict[Status, int] = {"pushed": 0, "unchanged": 0, "refused": REFUSED, "failed": FAULT}
FILE_NAME = "run.json"


class StepOutcome(Frozen):
    """One step, for the record."""

    name: str
    state: str
    seconds: float
    outputs: dict[str, list[str]] = Field(description="URIs by output")

    @classmethod
    def of(cls, step: Step) -> StepOutcome:
        """Return what the record keeps of an execution."""
        return cls(
            name=step.name,
            state=step.state,
            seconds=round(step.seconds, 1),
            outputs={key: [item.uri for item in items] for key, items in step.outputs.items()},
        )


class Outcome(Frozen):
    """A finished run, whatever its end."""

    run_id: str
    status: Status
    reason: str = Field(description="why it was refused or failed, or another version is served; else empty")
    preset: str
    data: str = Field(description="the ingested data set's folder")
    data_version: str
    started: datetime
    seconds: float
    version: str | None = Field(description="the version that is served after the run: pushed or unchanged")
    model: str | None = Field(description="the trained SavedModel's folder")
    metrics: SliceMetrics | None = Field(description="on the whole test split")
    threshold: float | None
    verdicts: tuple[Verdict, ...]
    steps: tuple[StepOutcome, ...]

    @property
    def exit_code(self) -> int:
        """The command line's exit code."""
        return EXIT_CODES[self.status]

    def uri(self, step: str, output: str) -> Path | None:
        """Return the folder of a step's output, if the step got that far."""
        for item in self.steps:
            if item.name == step and item.outputs.get(output):
                return Path(item.outputs[output][0])
        return None

    def save(self, folder: Path) -> None:
        """Write the outcome into the run's folder."""
        (folder / FILE_NAME).write_text(self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Outcome:
        """Read what :meth:`save` wrote.

        Raises:
            UsageError: it is damaged.
        """
        try:
            return cls.model_validate_json((folder / FILE_NAME).read_bytes())
        except ValueError as error:
            raise UsageError(f"--run {folder.name}: {folder / FILE_NAME} cannot be read: {error}") from None


def collect(
    *,
    run_id: str,
    preset: str,
    data: Path,
    data_version: str,
    started: datetime,
    seconds: float,
    steps: Sequence[Step],
    error: str,
) -> Outcome:
    """Read the verdicts and measurements out of the artifacts the steps left.

    Args:
        run_id: the run.
        preset: its configuration's name.
        data: the ingested data set.
        data_version: its SHA-256.
        started: when, UTC.
        seconds: how long it took.
        steps: all steps of the run.
        error: what a step raised, if one did.
    """
    by_name = {step.name: step for step in steps}
    verdicts = _verdicts(by_name)
    pushed = _pushed(by_name)
    model = _model(by_name)
    facts = json.loads((model / FACTS).read_text()) if model and (model / FACTS).exists() else {}
    status, reason = _status(verdicts, unfinished(steps), pushed, error)
    evaluation = _folder(by_name, "Evaluator", "evaluation")
    metrics = None
    if evaluation is not None:
        metrics = next((item for item in measured.load(evaluation) if item.slice == OVERALL), None)
    return Outcome(
        run_id=run_id,
        status=status,
        reason=reason,
        preset=preset,
        data=str(data),
        data_version=data_version,
        started=started,
        seconds=seconds,
        version=pushed.get("pushed_version") or pushed.get("unchanged"),
        model=str(model) if model else None,
        metrics=metrics,
        threshold=facts.get("threshold"),
        verdicts=tuple(verdicts),
        steps=tuple(StepOutcome.of(step) for step in steps),
    )


def served(result: Outcome, registry: Registry) -> Outcome:
    """Say what a run that went through really released: nothing where its version had been released before.

    A version that was rolled back stays so: a run does not undo what a person decided.
    """
    if result.status not in {"pushed", "unchanged"}:
        return result
    who = f"run {result.run_id}"
    if any(event.version == result.version and event.who == who for event in registry.events()):
        return result
    stable = registry.channels().stable
    if stable in {None, result.version}:
        return result.model_copy(update={"status": "unchanged"})
    reason = f"version {result.version} was released before, {stable} is served by a later decision"
    return result.model_copy(update={"status": "unchanged", "version": stable, "reason": reason})


def _status(
    verdicts: Sequence[Verdict], left: Sequence[Step], pushed: dict[str, str], error: str
) -> tuple[Status, str]:
    refused = [verdict for verdict in verdicts if not verdict.passed]
    if refused:
        return "refused", "; ".join(check.sentence() for verdict in refused for check in verdict.refusals)
    if error:
        return "failed", error
    if left:
        return "failed", f"unfinished steps: {', '.join(f'{step.name} ({step.state})' for step in left)}"
    if pushed.get("pushed_version"):
        return "pushed", ""
    if pushed.get("unchanged"):
        return "unchanged", ""
    return "failed", "nothing was pushed, and no gate says why"


def _verdicts(steps: dict[str, Step]) -> list[Verdict]:
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
    for step, output in (("Evaluator", "evaluation"), ("ServingCheck", "infra_blessing")):
        folder = _folder(steps, step, output)
        if folder is not None:
            result.append(Verdict.load(folder))
    return result


def _pushed(steps: dict[str, Step]) -> dict[str, str]:
    step = steps.get("Pusher")
    artifact = step.output("pushed_model") if step else None
    return artifact.properties if artifact else {}


def _model(steps: dict[str, Step]) -> Path | None:
    folder = _folder(steps, "Trainer", "model")
    return Path(path_utils.serving_model_path(str(folder))) if folder else None


def _folder(steps: dict[str, Step], name: str, output: str) -> Path | None:
    step = steps.get(name)
    if step is None or step.state not in DONE:
        return None
    artifact = step.output(output)
    return Path(artifact.uri) if artifact else None
