"""Can the device's clock be believed? A Pi has none that survives a power cut."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.queue.queue import Queue

# No device ran this program before it was written (2026-11-01 UTC).
WRITTEN = 1_793_491_200.0
TOLERANCE_S = 300.0
REMEMBER_EVERY_S = 600.0  # a write to the card each time


class Clock:
    """Compares the wall clock with this program's age, the last time seen and the gateway's time."""

    def __init__(
        self,
        queue: Queue,
        now: Callable[[], float] = time.time,
        running: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self.now = now  # Unix seconds by the device's clock
        self._running = running  # seconds that no one can set
        self._seen = float(queue.fact("clock_seen", "0"))
        self._offset: float | None = None
        self._lead = 0.0  # of the wall clock on the running one, when the witness spoke

    @property
    def witnessed(self) -> bool:
        """Whether the gateway's time agreed, and the clock was not set to another time since."""
        if self._offset is None:
            return False
        moved = self.now() - self._running() - self._lead
        return abs(self._offset + moved) <= TOLERANCE_S

    def trouble(self) -> str:
        """Why the clock is not to be believed, in one phrase; empty when it is."""
        now = self.now()
        if now < WRITTEN:
            return f"it says {_day(now)}, before this program was written"
        if now < self._seen - TOLERANCE_S:
            return f"it says {_day(now)}, but it was {_day(self._seen)} already"
        if self._offset is not None and abs(self._offset) > TOLERANCE_S:
            return f"it differs from the gateway's by {abs(self._offset):.0f} seconds"
        return ""

    def note(self) -> None:
        """Remember the time across restarts, now and then; a full card may refuse it (sqlite3.OperationalError)."""
        now = self.now()
        if not self.trouble() and now > self._seen + REMEMBER_EVERY_S:
            self._seen = now
            self._queue.remember("clock_seen", str(now))

    def compare(self, elsewhere: float) -> None:
        """Take the gateway's time (Unix seconds) as a witness."""
        now = self.now()
        self._offset, self._lead = now - elsewhere, now - self._running()
        if abs(self._offset) <= TOLERANCE_S:
            # The gateway agrees, so a later time seen earlier was the mistake.
            self._seen = min(self._seen, now)


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment)) + " UTC"
