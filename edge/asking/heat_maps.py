"""Fetches heat maps after the answers, which never wait for one."""

from __future__ import annotations

import logging
import threading
from collections import deque

from core.worker import Worker
from edge.asking.client import AskError, ModelServerClient
from edge.queue.encryption import DamagedError
from edge.queue.queue import Queue

log = logging.getLogger(__name__)

OWED = 20
TRIES = 3
PAUSE_S = 5.0
BUSY_S = 0.5


class HeatMapFetcher(Worker):
    """Asks for where the model looked, newest first, while no photograph waits for its answer.

    One that fails is asked for again up to three times; the next photograph's is asked for in any case.
    """

    def __init__(self, queue: Queue, client: ModelServerClient, *, stop: threading.Event) -> None:
        super().__init__("heat maps", PAUSE_S, stop=stop)
        self._queue = queue
        self._client = client
        self._owed: deque[tuple[str, str, int]] = deque(maxlen=OWED)  # id, version, tries

    def owe(self, examination_id: str, version: str) -> None:
        """Note that a photograph was answered by this version."""
        self._owed.append((examination_id, version, 0))
        self.wake()

    def turn(self) -> float | None:
        """Fetch one."""
        if not self._owed:
            return None
        if self._queue.next_waiting() is not None:
            return BUSY_S
        examination_id, version, tries = self._owed.pop()
        try:
            heat_map = self._client.explain(self._queue.picture(examination_id), examination_id, version)
        except DamagedError:
            return 0.0
        except AskError as error:
            log.info("no heat map for %s yet: %s", examination_id, error)
            if tries + 1 < TRIES:
                self._owed.appendleft((examination_id, version, tries + 1))
            return None
        if heat_map is not None:
            self._queue.keep_heat_map(examination_id, heat_map)
        return 0.0
