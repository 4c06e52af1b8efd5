"""Shows how many images are done: a bar on a terminal, now and then a line in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

# Seconds between two lines in a log.
QUIET = 10.0


class Lines:
    """One line at a stage's start and end, and one every ``QUIET`` seconds."""

    def __init__(self, console: Console) -> None:
        """Print to ``console``."""
        self._console = console
        self._stage = ""
        self._said = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` are done in ``stage``."""
        now = time.monotonic()
        if stage == self._stage and done < total and now - self._said < QUIET:
            return
        self._stage, self._said = stage, now
        self._console.print(f"{stage}: {done} of {total} images", highlight=False)


class Bars:
    """One bar a stage."""

    def __init__(self, progress: Progress) -> None:
        """Draw into ``progress``."""
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` are done in ``stage``."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done)


@contextmanager
def counted(console: Console) -> Iterator[Lines | Bars]:
    """Yield what to call with stage, done and total."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)
