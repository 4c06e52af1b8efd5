"""Shows how far a run is: its steps, what they say, and how many images are done."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.status import Status

from components.idle import IDLE
from pipeline.console import say

if TYPE_CHECKING:
    from components.ingest.beam_job import Listener

# Their messages are the runner's only sign of life; a test holds them against the runner's source.
STARTED = "Component %s is running."
FINISHED = "Component %s is finished."
FROM_CACHE = "A cached execution %d is used."

# They show their own progress; a spinner would write over it.
VERBOSE_STEPS = frozenset({"Trainer", "Tuner"})

PRODUCT_LOGGERS = ("core", "components", "pipeline", "serving", "studies")


class StepProgress(logging.Handler):
    """Turns the runner's log records into one line a step."""

    def __init__(self, console: Console, steps: Sequence[str]) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._steps = list(steps)
        self._width = max((len(step) for step in steps), default=0)
        self._started = 0.0
        self._running = ""  # the step that began and has not ended
        self._note = ""  # what it did, where that is not its work
        self._status: Status | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line when a step ends; keep a spinner while it runs on a terminal."""
        if record.msg == STARTED:
            self._start(str((record.args or ("",))[0]))  # type: ignore[index]
        elif record.msg == FROM_CACHE:
            self._note = "unchanged, from cache"
        elif record.msg == IDLE:
            self._note = f"did nothing: {(record.args or ('',))[0]}"  # type: ignore[index]
        elif record.msg == FINISHED:
            self._finish(str((record.args or ("",))[0]), self._note)  # type: ignore[index]

    def stop(self) -> None:
        """End the list: where a step stopped the run, say which, and what was not reached."""
        if not self._running:
            return
        after = self._steps[self._steps.index(self._running) + 1 :] if self._running in self._steps else []
        self._finish(self._running, f"stopped; not reached: {', '.join(after)}" if after else "stopped")

    def _start(self, step: str) -> None:
        self._started, self._running, self._note = time.monotonic(), step, ""
        if self._console.is_terminal and step not in VERBOSE_STEPS:
            self._status = self._console.status(self._label(step))
            self._status.start()

    def _finish(self, step: str, note: str) -> None:
        if self._status:
            self._status.stop()
            self._status = None
        self._running = ""
        seconds = time.monotonic() - self._started
        say(self._console, f"{self._label(step)} {seconds:6.1f} s  {note}".rstrip())

    def _label(self, step: str) -> str:
        number = self._steps.index(step) + 1 if step in self._steps else 0
        return f"[{number:2d}/{len(self._steps)}] {step:<{self._width}}".replace("[", r"\[")


class ProductLogHandler(logging.Handler):
    """Prints what our own steps say while they work, such as a line an epoch."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self.addFilter(lambda record: record.name.split(".")[0] in PRODUCT_LOGGERS)

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record, indented below its step."""
        say(self._console, f"        {record.getMessage()}", markup=False)


class OneLine(logging.Formatter):
    """Puts a message into one line: TFX logs whole protocol buffers. A traceback stays as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the formatted message with its white space folded."""
        return " ".join(super().formatMessage(record).split())


def open_log(path: Path) -> logging.Handler:
    """Return a handler that writes every record of the run to ``path``, one a line."""
    handler = logging.FileHandler(path)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    return handler


# Seconds between two lines in a log.
QUIET = 10.0


class ImageLines:
    """One line at a stage's start and end, and one every ``QUIET`` seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._said = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` are done in ``stage``."""
        now = time.monotonic()
        if stage == self._stage and done < total and now - self._said < QUIET:
            return
        self._stage, self._said = stage, now
        say(self._console, f"{stage}: {done} of {total} images")


@contextmanager
def counted(console: Console) -> Iterator[Listener]:
    """Yield what to call with stage, done and total: lines in a log, one bar a stage on a terminal."""
    if not console.is_terminal:
        yield ImageLines(console)
        return
    columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as progress:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done)

        yield show
