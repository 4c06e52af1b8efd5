"""A thread that does the same thing again and again until it is told to stop."""

from __future__ import annotations

import logging
import threading

log = logging.getLogger(__name__)


class Worker:
    """Calls :meth:`turn` every `period` seconds; an error is logged and does not end it."""

    def __init__(self, name: str, period: float) -> None:
        self.name = name
        self._period = period
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def turn(self) -> None:
        """The work; a subclass gives it."""
        raise AssertionError(f"{type(self).__name__} has no work")

    @property
    def stopping(self) -> bool:
        """True once :meth:`stop` was called: long work should end early."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it and wait for the present turn."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.turn()
            except Exception:
                log.exception("%s failed; it tries again in %g s", self.name, self._period)
            self._stopping.wait(self._period)
