"""Answers on the device while no server does; every answer is marked preliminary and replaced later."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from core.tfserving.tensors import InvalidResponseError
from core.worker import Worker
from edge.asking.on_device import ModelStore, ModelUnusableError
from edge.camera.photograph import BadPhotographError
from edge.certificates import CertificateError
from edge.config import FallbackSection
from edge.queue.encryption import DamagedError
from edge.queue.queue import Queue
from edge.reporting.gateway import GatewayError

log = logging.getLogger(__name__)

LATEST = 20  # how far back unanswered examinations get a preliminary answer


class OnDeviceFallback(Worker):
    """Looks for newer models, and answers what has waited too long, newest first."""

    def __init__(
        self,
        queue: Queue,
        store: ModelStore,
        section: FallbackSection,
        *,
        stop: threading.Event,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__("fallback", section.check_s, stop=stop)
        self._queue = queue
        self._store = store
        self._after = section.after_s
        self._now = now
        self._loaded = False
        self._due = 0.0
        self.trouble = ""

    @property
    def version(self) -> str:
        """The model's version; empty while there is none."""
        model = self._store.model
        return model.description.version if model else ""

    def turn(self) -> float:
        """Look for a newer model when that is due, then at the queue."""
        if not self._loaded:
            self._loaded = True
            self._attempt(self._store.load)
        if time.monotonic() >= self._due:
            self._attempt(self._store.update)
            self._due = time.monotonic() + self._period_s
        pause = self.answer_waiting()
        return min(pause, max(0.1, self._due - time.monotonic()))

    def answer_waiting(self) -> float:
        """Answer what has waited `after_s`; return the seconds until the next one will have."""
        model = self._store.model
        pause = self._period_s
        if model is None:
            return pause
        for examination in self._queue.page(LATEST):
            if examination.settled or examination.answer is not None:
                continue
            left = examination.captured_at + self._after - self._now()
            # A clock that was set back must not keep the nurse waiting.
            if 0 < left <= self._after:
                pause = min(pause, left)
                continue
            try:
                self._queue.note(examination.id, answer=model.answer(self._queue.picture(examination.id)))
            except (
                DamagedError,
                BadPhotographError,
                InvalidResponseError,
                OSError,
                # What LiteRT raises for a picture or a file it does not bear.
                RuntimeError,
                ValueError,
                sqlite3.OperationalError,
            ) as error:
                self.trouble = str(error)
                log.warning("no preliminary answer: %s", error)
        return pause

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
            self.trouble = ""
        except (ModelUnusableError, OSError, CertificateError, GatewayError) as error:
            self.trouble = str(error)
            log.warning("on-device model: %s", error)
