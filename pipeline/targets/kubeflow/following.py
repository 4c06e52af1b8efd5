"""Follows a run on a cluster to its end: one line a step, and the exit code a local run would have had."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console

from core.errors import FAULT, REFUSED, RunFaultError
from pipeline.console import say

RunStatus = Literal["running", "succeeded", "failed", "canceled"]
# Both targets' words for a step that is over.
ENDED = frozenset(
    {"SUCCEEDED", "SKIPPED", "CACHED", "FAILED", "CANCELED", "CANCELLED", "ERROR", "NOT_TRIGGERED"}
)
BROKEN = frozenset({"FAILED", "ERROR"})
# A run's end is written up to 0.3 s before the ends of its tasks (KFP 2.17, measured): they are asked for again.
SETTLE_READS = 10
# Said when nothing has changed for so long. A run whose Workflow was deleted never ends in KFP's API.
QUIET_SECONDS = 1800.0
# The entrypoint logs it; the exit code of a container does not reach KFP's API.
REFUSED_MARK = "refused by a gate:"
POLL_SECONDS = 5.0
PATIENCE = 60  # questions without an answer, one after the other


@dataclass(frozen=True)
class StepState:
    """One step of a run on a cluster."""

    name: str
    state: str
    seconds: float | None = None
    error: str = ""
    pods: tuple[str, ...] = ()
    began: float = 0.0


@dataclass(frozen=True)
class RunState:
    """A run on a cluster, as its API tells it."""

    status: RunStatus  # of the run
    steps: dict[str, StepState] = field(default_factory=dict)  # by the id of the task: names are not unique
    error: str = ""  # what the API says of the run itself
    logs: str = ""  # the command that shows the steps' logs where the API does not

    @property
    def settled(self) -> bool:
        """Whether the run is over and its steps say how."""
        if self.status == "running":
            return False
        states = {step.state for step in self.steps.values()}
        return states <= ENDED and (self.status != "failed" or bool(states & BROKEN) or bool(self.error))


def follow(
    read: Callable[[], RunState],
    console: Console,
    *,
    pause: Callable[[], None] | None = None,
    limit_seconds: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> RunState:
    """Print each step's beginning and end until the run is over, and return its last state.

    ``read`` asks the cluster and may raise OSError `PATIENCE` times in a row; ``pause`` waits between two questions,
    five seconds by default.

    Raises:
        RunFaultError: the cluster has not answered for too long, or the time is over; the run itself may go on.
    """
    wait = pause or (lambda: time.sleep(POLL_SECONDS))
    told: dict[str, str] = {}
    silent = unsettled = 0
    begun = changed = clock()
    before: RunState | None = None
    while True:
        try:
            run = read()
            silent = 0
        except OSError as problem:
            silent += 1
            if silent > PATIENCE:
                raise RunFaultError(
                    f"the cluster does not answer ({problem}); the run goes on without being followed"
                ) from None
            wait()
            continue
        if run != before:
            before, changed = run, clock()
        for key, step in sorted(run.steps.items(), key=lambda item: item[1].began):
            if told.get(key) != step.state and (step.state in ENDED or step.state == "RUNNING"):
                took = f" in {step.seconds:.0f} s" if step.seconds is not None and step.state in ENDED else ""
                say(console, f"  {step.name:22} {step.state.lower()}{took}")
            told[key] = step.state
        if run.status != "running":
            unsettled += 1
            if run.settled or unsettled > SETTLE_READS:
                return run
        if clock() - begun >= limit_seconds:
            raise RunFaultError(
                f"the run is not over after {limit_seconds / 3600:.3g} h (--limit-hours); it goes on without being "
                f"followed{_where(run)}"
            )
        if clock() - changed >= QUIET_SECONDS:
            changed = clock()
            say(
                console,
                f"  nothing has changed for {QUIET_SECONDS / 60:.0f} min: a run whose Workflow was deleted never "
                f"ends; Ctrl-C ends the following only{_where(run)}",
            )
        wait()


def _where(run: RunState) -> str:
    return f". Its logs: {run.logs}" if run.logs else ""


def ending(run: RunState, log: Callable[[StepState], str]) -> tuple[int, str]:
    """Return the exit code and the reason of a finished run.

    A container's exit code does not reach KFP's API, so a refusal is told from a fault by the step's ``log``, which
    is empty where it cannot be had.
    """
    if run.status == "succeeded":
        return 0, ""
    if run.status == "canceled":
        return FAULT, "the run was canceled"
    broken = [step for step in run.steps.values() if step.state in BROKEN]
    for step in broken:
        text = f"{step.error}\n{log(step)}"
        for line in reversed(text.splitlines()):
            _, found, reason = line.partition(REFUSED_MARK)
            if found:
                return REFUSED, f"{step.name}: {reason.strip()}"
    names = ", ".join(f"{step.name} ({step.error})" if step.error else step.name for step in broken)
    reason = run.error or f"failed steps: {names or 'none is named'}; their logs say why"
    unread = run.logs and any(not step.pods for step in broken)
    return FAULT, f"{reason}: {run.logs}" if unread else reason
