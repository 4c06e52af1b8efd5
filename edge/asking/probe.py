"""Probes the servers while nothing waits, so that the status line is true before the next patient comes."""

from __future__ import annotations

import threading

from core.worker import Worker
from edge.asking.client import ModelServerClient
from edge.asking.sender import Sender
from edge.asking.status import SERVER_NOTICES
from edge.notices import Notices
from edge.queue.queue import Queue


class HealthProbe(Worker):
    """Asks every server for its model's status; the sender alone speaks while examinations wait."""

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
        super().__init__("probe", period_s, stop=stop)
        self._queue = queue
        self._client = client
        self._sender = sender
        self._notices = notices

    def turn(self) -> None:
        """Probe once: a good server takes the notices down and wakes the sender."""
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
