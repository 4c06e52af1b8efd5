"""A job in a process of its own: what it took of memory is given back when it ends."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from components.trainer.progress import Progress
from core.errors import RunFaultError

Result = TypeVar("Result")


def run(job: Callable[[Progress], Result], what: str, progress: Progress) -> Result:
    """Return what `job` returns; its lines come out of `progress`, its exceptions out of here: all can be pickled.

    Raises:
        RunFaultError: the process ended without an answer; the message says `what`.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, sender), daemon=True)
    process.start()
    sender.close()
    try:
        while True:
            kind, content = receiver.recv()
            if kind == "result":
                result: Result = content
                return result
            if kind == "error":
                raise content
            getattr(progress, kind)("%s", content)
    except EOFError:
        process.join()
        raise RunFaultError(
            f"{what}: its process ended with exit code {process.exitcode}"
            f"{' (killed: out of memory?)' if process.exitcode == -9 else ''}; the same command goes on from there"
        ) from None
    finally:
        receiver.close()
        if process.is_alive():
            process.join(5)
        process.kill()


def _work(job: Callable[[Progress], object], sender: Connection) -> None:
    try:
        sender.send(("result", job(_Sent(sender))))
    except Exception as error:
        sender.send(("error", error))


class _Sent(Progress):
    """Sends what is said to the process that started this one."""

    def __init__(self, to: Connection) -> None:
        self._to = to

    def line(self, message: str, *values: object) -> None:
        """One finished event."""
        self._to.send(("line", message % values if values else message))

    def tick(self, message: str, *values: object) -> None:
        """Work under way; the receiver decides how often it is shown."""
        self._to.send(("tick", message % values if values else message))
