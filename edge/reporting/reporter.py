"""Tells the gateway: every settled examination once, in order, and a heartbeat now and then."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from edge.certificates import CertificateError
from edge.notices import Kind, Notices
from edge.queue.queue import Queue
from edge.reporting.gateway import Gateway, GatewayRefusesError, GatewayUnreachableError
from edge.reporting.records import examination_record

log = logging.getLogger(__name__)

GATEWAY_NOTICES: tuple[Kind, ...] = ("gateway_unreachable", "gateway_refuses")
LONGEST_PAUSE_S = 60.0


class FleetReporter:
    """One thread that keeps the gateway informed."""

    def __init__(
        self,
        queue: Queue,
        gateway: Gateway,
        notices: Notices,
        *,
        device_id: str,
        heartbeat: Callable[[], dict[str, Any]],
        heartbeat_s: float,
        stop: threading.Event,
        longest_pause_s: float = LONGEST_PAUSE_S,
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._gateway = gateway
        self._notices = notices
        self._device_id = device_id
        self._heartbeat = heartbeat
        self._period = heartbeat_s
        self._stop = stop
        self._longest_pause = longest_pause_s
        self._random = random_unit
        self._wake = threading.Event()
        self._due = 0.0
        self.beat = time.monotonic()
        self.thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self.thread.start()

    def wake(self) -> None:
        """Ends a pause: there is something to tell."""
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
                told = self.report()
                self._notices.clear(*GATEWAY_NOTICES)
                failures = 0
            except GatewayUnreachableError as error:
                told, failures = False, failures + 1
                self._notices.add("gateway_unreachable", str(error))
            except (GatewayRefusesError, CertificateError) as error:
                told, failures = False, failures + 1
                self._notices.add("gateway_refuses", str(error))
            except (OSError, sqlite3.OperationalError) as error:
                told, failures = False, failures + 1
                self._notices.add("storage_full", str(error))
            if failures:
                pause = min(self._longest_pause, 0.5 * 2 ** min(failures, 10)) * (0.5 + self._random() / 2)
                self._stop.wait(pause)
            elif not told:
                self._wake.wait(max(0.0, min(self._due - time.monotonic(), self._period)))
                self._wake.clear()

    def report(self) -> bool:
        """Sends the heartbeat if it is due, and the oldest untold examination; True when there was one.

        One that is refused does not keep the other from being sent; the heartbeat's error is raised last.
        """
        trouble: Exception | None = None
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._period
            try:
                self._gateway.post_heartbeat(self._heartbeat())
            except (GatewayUnreachableError, GatewayRefusesError, CertificateError) as error:
                trouble = error
        untold = self._queue.next_unreported()
        if untold is not None:
            self._gateway.put_examination(examination_record(untold, self._device_id))
            self._queue.mark_reported(untold.id)
        if trouble is not None:
            raise trouble
        return untold is not None
