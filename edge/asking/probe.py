"""Looks at the servers while nothing waits, so that the status line is true before the next patient comes."""

from __future__ import annotations

import threading

from edge.asking.client import ModelServerClient
from edge.asking.sender import SERVER_NOTICES, Sender
from edge.notices import Notices
from edge.queue.queue import Queue


class HealthProbe:
    """One thread; the sender alone speaks while examinations wait."""

    def __init__(
        self,
        queue: Queue,
        client: ModelServerClient,
        sender: Sender,
        notices: Notices,
        *,
        period_s: float,
        stop: threading.Event,
    ) -> None:
        self._queue = queue
        self._client = client
        self._sender = sender
        self._notices = notices
        self._period = period_s
        self._stop = stop
        self.thread = threading.Thread(target=self._run, name="probe", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self.thread.start()

    def look(self) -> None:
        """One look at every server: a good one takes the notices down and wakes the sender."""
        health = self._client.health()
        good = next((found for found in health if found.version), None)
        if good is not None:
            if self._queue.next_waiting() is None:
                # Garbage was seen in an answer, and a look at the model's status cannot take that back.
                self._notices.clear(*(kind for kind in SERVER_NOTICES if kind != "server_garbage"))
                self._sender.version = good.version
            else:
                self._sender.wake()
        elif self._queue.next_waiting() is None:
            trouble = "; ".join(found.trouble for found in health)
            certificate = any("certificate" in found.trouble.lower() for found in health)
            self._notices.add("certificate_expired" if certificate else "server_unreachable", trouble)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(self._period)
