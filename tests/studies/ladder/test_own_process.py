"""A job in a process of its own. What this file imports, each of those processes imports."""

import os
import signal
from functools import partial
from io import StringIO

import pytest

from components.trainer.progress import Progress
from core.errors import RunFaultError, UsageError
from studies.ladder import own_process


def told(number: int, progress: Progress) -> tuple[int, int]:
    progress.line("epoch %d of 100 %%", number)
    progress.tick("step %d", 7)
    return os.getpid(), number * 2


def refused(progress: Progress) -> None:
    raise UsageError("folds=9: too few")


def killed(progress: Progress) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_result_and_lines_come_back_from_another_process():
    said = StringIO()
    pid, doubled = own_process.run(partial(told, 21), "a job", Progress(said))
    assert (pid != os.getpid(), doubled) == (True, 42)
    assert said.getvalue().splitlines() == ["epoch 21 of 100 %", "step 7"]


def test_an_exception_comes_out_as_it_was_raised():
    with pytest.raises(UsageError, match="folds=9: too few"):
        own_process.run(refused, "a job", Progress(StringIO()))


def test_a_killed_process_is_a_fault_that_says_what_to_do():
    with pytest.raises(
        RunFaultError, match=r"rung 07: .* exit code -9 \(killed: out of memory\?\); the same"
    ):
        own_process.run(killed, "rung 07", Progress(StringIO()))
