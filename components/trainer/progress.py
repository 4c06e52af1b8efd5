"""What training says while it works: one line an event, and a live line on a terminal."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_LOG = logging.getLogger(__name__)
_SECONDS_BETWEEN_TICKS = 5.0


def speed(images_per_s: float) -> str:
    """Return a throughput as it is shown; with a decimal if it is low, so that slow is not nothing."""
    return f"{images_per_s:.0f} images/s" if images_per_s >= 10 else f"{images_per_s:.1f} images/s"


class Progress:
    """Prints events; on a terminal, work in between events rewrites one line."""

    def __init__(self, stream: IO[str] | None = None, silent: bool = False) -> None:
        """`silent` leaves the telling to another process."""
        self._silent = silent
        self._stream = stream if stream is not None else sys.stderr
        self._live = self._stream.isatty()
        self._next_tick = 0.0
        self._open_line = False
        self.phases: dict[str, float] = {}
        """Seconds spent in each named phase."""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of a block under a name; phases do not lie within each other."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.monotonic() - started

    def line(self, message: str, *values: object) -> None:
        """One finished event."""
        if self._silent:
            return
        self._close()
        print(message % values if values else message, file=self._stream, flush=True)
        _LOG.debug(message, *values)

    def tick(self, message: str, *values: object) -> None:
        """Work under way: at most one line in a few seconds, rewritten in place on a terminal."""
        now = time.monotonic()
        if self._silent or now < self._next_tick:
            return
        self._next_tick = now + (0.25 if self._live else _SECONDS_BETWEEN_TICKS)
        text = message % values if values else message
        if self._live:
            self._stream.write("\r\x1b[2K" + text)
            self._stream.flush()
            self._open_line = True
        else:
            print(text, file=self._stream, flush=True)

    def _close(self) -> None:
        if self._open_line:
            self._stream.write("\r\x1b[2K")
            self._open_line = False
