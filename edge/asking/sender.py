"""Sends what waits, oldest first, and never the next before the last is settled."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable

from edge.answer import InvalidResponseError
from edge.asking.client import ModelServerClient, PictureRefusedError, ServerRefusesError, UnreachableError
from edge.certificates import CertificateError
from edge.notices import Kind, Notices
from edge.queue.encryption import DamagedError
from edge.queue.examination import Examination
from edge.queue.queue import Queue

log = logging.getLogger(__name__)

SERVER_NOTICES: tuple[Kind, ...] = (
    "server_unreachable",
    "server_refuses",
    "server_garbage",
    "certificate_expired",
)


class Sender:
    """One thread that empties the queue into the model servers."""

    def __init__(
        self,
        queue: Queue,
        client: ModelServerClient,
        notices: Notices,
        *,
        longest_pause_s: float,
        stop: threading.Event,
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._client = client
        self._notices = notices
        self._longest_pause = longest_pause_s
        self._stop = stop
        self._random = random_unit
        self._wake = threading.Event()
        self.beat = time.monotonic()
        self.version = ""
        self.thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self.thread.start()

    def wake(self) -> None:
        """Ends a pause: something new waits, or the nurse wants another try."""
        self._wake.set()

    def join(self) -> None:
        """Waits until the thread has ended after `stop` was set."""
        self._wake.set()
        self.thread.join(timeout=30)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self.beat = time.monotonic()
            try:
                waiting = self._queue.next_waiting()
                if waiting is None:
                    self._pause(self._longest_pause)
                    continue
                done = self.send(waiting)
            except (OSError, sqlite3.OperationalError) as error:
                # Nothing is lost: what could not be noted down is asked again, under the same id.
                self._notices.add("storage_full", str(error))
                done = False
            failures = 0 if done else failures + 1
            if failures:
                self._pause(
                    min(self._longest_pause, 0.5 * 2 ** min(failures, 10)) * (0.5 + self._random() / 2)
                )

    def send(self, examination: Examination) -> bool:
        """One try with one examination; True when it is settled."""
        try:
            jpeg = self._queue.picture(examination.id)
        except DamagedError as error:
            self._notices.add("picture_damaged", str(error))
            self._queue.settle(examination.id, "damaged", trouble=str(error))
            return True
        try:
            answer = self._client.ask(jpeg, examination.id)
        except PictureRefusedError as error:
            self._notices.clear(*SERVER_NOTICES)
            self._queue.settle(examination.id, "refused", trouble=str(error))
            return True
        except UnreachableError as error:
            return self._wait("server_unreachable", examination, error)
        except ServerRefusesError as error:
            return self._wait("server_refuses", examination, error)
        except InvalidResponseError as error:
            return self._wait("server_garbage", examination, error)
        except CertificateError as error:
            return self._wait("certificate_expired", examination, error)
        self._notices.clear(*SERVER_NOTICES, "storage_full")
        self.version = answer.model_version
        self._queue.settle(examination.id, "answered", answer)
        heat_map = self._client.explain(jpeg, examination.id, answer.model_version)
        if heat_map is not None:
            self._queue.keep_heat_map(examination.id, heat_map)
        return True

    def _wait(self, kind: Kind, examination: Examination, error: Exception) -> bool:
        self._notices.clear(*(other for other in SERVER_NOTICES if other != kind))
        self._notices.add(kind, str(error))
        self._queue.note(examination.id, trouble=str(error))
        return False

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()
