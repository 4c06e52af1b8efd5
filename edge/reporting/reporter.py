"""Reports to the fleet's gateway."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from core.worker import Worker
from edge.asking.sender import backoff_s
from edge.certificates import CertificateError
from edge.config import Config
from edge.notices import Notices
from edge.queue.queue import Queue
from edge.reporting.gateway import Gateway, GatewayError, GatewayUnreachableError
from edge.reporting.records import examination_record

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 60.0


class FleetReporter(Worker):
    """Keeps the gateway informed: every settled examination once, in order, and a heartbeat now and then."""

    def __init__(
        self,
        queue: Queue,
        gateway: Gateway,
        notices: Notices,
        config: Config,
        *,
        heartbeat: Callable[[], dict[str, Any]],
        stop: threading.Event,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> None:
        super().__init__("reporter", config.gateway.heartbeat_s, stop=stop)
        self._queue = queue
        self._gateway = gateway
        self._notices = notices
        self._device_id = config.device.id
        self._heartbeat = heartbeat
        self._longest_pause = longest_pause_s
        self._due = 0.0
        self._failed = 0

    def turn(self) -> float:
        """Report what there is to report."""
        try:
            reported = self.report()
        except GatewayUnreachableError as error:
            self._notices.add("gateway_unreachable", str(error))
        except (GatewayError, CertificateError) as error:
            self._notices.add("gateway_refuses", str(error))
        except (OSError, sqlite3.OperationalError) as error:
            self._notices.add("storage_full", str(error))
        else:
            self._notices.clear("gateway_unreachable", "gateway_refuses")
            self._failed = 0
            return 0.0 if reported else max(0.0, min(self._due - time.monotonic(), self._period_s))
        self._failed += 1
        return backoff_s(self._failed, self._longest_pause)

    def report(self) -> bool:
        """Send the heartbeat if it is due, and the oldest unreported examination.

        One that is refused does not keep the other from being sent; the heartbeat's error is raised last.

        Returns:
            True when there was an examination to report.
        """
        trouble: Exception | None = None
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._period_s
            try:
                self._gateway.post_heartbeat(self._heartbeat())
            except (GatewayError, CertificateError) as error:
                trouble = error
        unreported = self._queue.next_unreported()
        if unreported is not None:
            self._gateway.put_examination(examination_record(unreported, self._device_id))
            self._queue.mark_reported(unreported.id)
        if trouble is not None:
            raise trouble
        return unreported is not None
