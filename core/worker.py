"""A background worker: a thread that does its turn again and again until it is told to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

JOIN_S = 30.0


class Worker:
    """Calls :meth:`turn` every `period_s` seconds in a daemon thread; an error is logged and does not end it.

    Attributes:
        beat: when the present turn began, in seconds of `time.monotonic`: what a watchdog compares.
        failures: how many turns in a row have raised.
    """

    def __init__(
        self,
        name: str,
        period_s: float,
        work: Callable[[], float | None] | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> None:
        """Make a worker that does `work`, or what a subclass's :meth:`turn` does; `stop` may end several together."""
        self.name = name
        self.beat = time.monotonic()
        self.failures = 0
        self._period_s = period_s
        self._work = work
        self._stop = stop or threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def turn(self) -> float | None:
        """Do the work once; return the seconds until the next turn, None for the worker's period."""
        if self._work is None:
            raise NotImplementedError(f"{type(self).__name__} has no work")
        return self._work()

    @property
    def stopping(self) -> bool:
        """True once the worker was told to stop: long work should end early."""
        return self._stop.is_set()

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self.beat = time.monotonic()
        self._thread.start()

    def wake(self) -> None:
        """End the pause between two turns: there is something to do."""
        self._wake.set()

    def stop(self) -> None:
        """Tell it to stop, and wait for the present turn."""
        self._stop.set()
        self.join()

    def join(self, timeout_s: float = JOIN_S) -> None:
        """Wait until the thread has ended after its stop event was set; a worker never started has."""
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.beat = time.monotonic()
            pause: float | None = None
            try:
                pause = self.turn()
                self.failures = 0
            except Exception:
                self.failures += 1
                log.exception("%s failed; it tries again in %g s", self.name, self._period_s)
            if not self._stop.is_set():
                self._wake.wait(self._period_s if pause is None else pause)
            self._wake.clear()
