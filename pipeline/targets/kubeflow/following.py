"""Follows a run on a cluster to its end: one line a step, and the exit code a local run would have had."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console

from core.errors import FAULT, REFUSED, RunFaultError

RunStatus = Literal["running", "succeeded", "failed", "canceled"]
# Both targets' words for a step that is over.
ENDED = frozenset(
    {"SUCCEEDED", "SKIPPED", "CACHED", "FAILED", "CANCELED", "CANCELLED", "ERROR", "NOT_TRIGGERED"}
)
BROKEN = frozenset({"FAILED", "ERROR"})
# The entrypoint logs it; the exit code of a container does not reach KFP's API.
REFUSED_MARK = "refused by a gate:"
POLL_SECONDS = 5.0


@dataclass(frozen=True)
class StepState:
    """One step of a run on a cluster."""

    name: str
    state: str
    seconds: float | None = None
    error: str = ""
    pods: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunState:
    """A run on a cluster, as its API tells it."""

    status: RunStatus
    steps: dict[str, StepState] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    exit_code: int
    reason: str


def follow(
    read: Callable[[], RunState],
    console: Console,
    *,
    pause: Callable[[], None] | None = None,
    patience: int = 60,
) -> RunState:
    """Print each step's beginning and end until the run is over, and return its last state.

    Args:
        read: asks the cluster; raises OSError while it cannot be reached.
        console: where the lines go.
        pause: waits between two questions; default: five seconds.
        patience: how many questions in a row may fail.

    Raises:
        RunFaultError: the cluster has not answered for too long; the run itself may go on.
    """
    wait = pause or (lambda: time.sleep(POLL_SECONDS))
    told: dict[str, str] = {}
    silent = 0
    while True:
        try:
            run = read()
            silent = 0
        except OSError as problem:
            silent += 1
            if silent > patience:
                raise RunFaultError(
                    f"the cluster does not answer ({problem}); the run goes on without being followed"
                ) from None
            wait()
            continue
        for step in run.steps.values():
            if told.get(step.name) != step.state and (step.state in ENDED or step.state == "RUNNING"):
                took = f" in {step.seconds:.0f} s" if step.seconds is not None and step.state in ENDED else ""
                console.print(f"  {step.name:22} {step.state.lower()}{took}", highlight=False)
            told[step.name] = step.state
        if run.status != "running":
            return run
        wait()


def ending(run: RunState, log: Callable[[StepState], str]) -> Ending:
    """Return the exit code and the reason of a finished run.

    A container's exit code does not reach KFP's API, so a refusal is told from a fault by the log.

    Args:
        run: the finished run.
        log: returns the log of a step, empty where it cannot be had.
    """
    if run.status == "succeeded":
        return Ending(0, "")
    if run.status == "canceled":
        return Ending(FAULT, "the run was canceled")
    broken = [step for step in run.steps.values() if step.state in BROKEN]
    for step in broken:
        text = f"{step.error}\n{log(step)}"
        for line in reversed(text.splitlines()):
            _, found, reason = line.partition(REFUSED_MARK)
            if found:
                return Ending(REFUSED, f"{step.name}: {reason.strip()}")
    names = ", ".join(f"{step.name} ({step.error})" if step.error else step.name for step in broken)
    return Ending(FAULT, run.error or f"failed steps: {names or 'none is named'}; their logs say why")
