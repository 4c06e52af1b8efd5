"""What came out of a run: the verdicts, the version, the measurements, and where everything lies."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from core.errors import FAULT, REFUSED, UsageError
from core.records.evaluation import SliceMetrics
from core.records.verdict import Verdict
from core.records.version import RUN
from core.registry.store import Registry
from core.settings import Frozen

Status = Literal["pushed", "unchanged", "refused", "failed"]
EXIT_CODES: dict[Status, int] = {"pushed": 0, "unchanged": 0, "refused": REFUSED, "failed": FAULT}
FILE_NAME = "run.json"
DONE: Final = frozenset({"COMPLETE", "CACHED"})  # states of a step that left its outputs


class StepOutcome(Frozen):
    """One step, for the record."""

    name: str
    state: str
    seconds: float
    outputs: dict[str, list[str]] = Field(description="URIs by output")


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


def served(result: Outcome, registry: Registry) -> Outcome:
    """Say what a run that went through really released: nothing where its version was served already.

    A version that was rolled back stays so: a run does not undo what a person decided.
    """
    if result.status not in {"pushed", "unchanged"}:
        return result
    who = f"{RUN}{result.run_id}"
    if any(event.version == result.version and event.who == who for event in registry.events()):
        return result.model_copy(update={"status": "pushed"})
    stable = registry.channels().stable
    if stable in {None, result.version}:
        return result.model_copy(update={"status": "unchanged"})
    reason = f"version {result.version} was released before, {stable} is served by a person's later decision"
    return result.model_copy(update={"status": "unchanged", "version": stable, "reason": reason})
