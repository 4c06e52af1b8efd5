"""Ends the process when one of its loops has stopped, so that whoever started it can start it again."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable

from core.worker import Worker

log = logging.getLogger(__name__)

LOOK_S = 5.0
EXIT_STALLED = 70
MOST_FAILURES = 10


def notify(message: str) -> None:
    """Tell systemd (`READY=1`, `WATCHDOG=1`); do nothing if systemd did not start this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.connect(address)
            connection.sendall(message.encode())
    except OSError as error:
        log.warning("systemd could not be told %s: %s", message, error)


def watch(stalled: Callable[[], str], *, give_up: Callable[[int], None] = os._exit) -> None:
    """Tell systemd that all is well, or end the process with `give_up` if something has `stalled` (its name)."""
    name = stalled()
    if name:
        log.critical("%s has stopped: ending the process to be started again", name)
        give_up(EXIT_STALLED)
        return
    notify("WATCHDOG=1")


def stalled(workers: dict[Worker, float]) -> str:
    """Return the name of the first worker that has stopped; empty when all go round.

    One has stopped when its thread died, its last turn began longer ago than its limit (seconds, the pause
    between turns included), or it failed again and again for a reason that it does not know itself.
    """
    for worker, limit_s in workers.items():
        silent = time.monotonic() - worker.beat > limit_s
        if silent or not worker.alive or worker.failures >= MOST_FAILURES:
            return worker.name
    return ""
