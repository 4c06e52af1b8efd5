"""Ends the process when one of its loops has stopped, so that whoever started it can start it again."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

EXIT_STALLED = 70


def notify(message: str) -> None:
    """Tells systemd (`READY=1`, `WATCHDOG=1`); does nothing where systemd did not start this process."""
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


class Watchdog:
    """Looks at the loops every few seconds."""

    def __init__(
        self,
        alive: Callable[[], str],
        *,
        stop: threading.Event,
        period_s: float = 5.0,
        give_up: Callable[[int], None] = os._exit,
    ) -> None:
        """`alive` names the loop that has stopped; empty when all go round."""
        self._alive = alive
        self._stop = stop
        self._period = period_s
        self._give_up = give_up
        self.thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self.thread.start()

    def look(self) -> bool:
        """One look; True when all is well."""
        stalled = self._alive()
        if stalled:
            log.critical("%s has stopped: ending the process to be started again", stalled)
            self._give_up(EXIT_STALLED)
            return False
        notify("WATCHDOG=1")
        return True

    def _run(self) -> None:
        while not self._stop.wait(self._period):
            if not self.look():
                return


def stalled(
    threads: dict[str, threading.Thread], beats: dict[str, Callable[[], float]], limit_s: float
) -> str:
    """The first thread that died, or whose last beat (monotonic seconds) is more than `limit_s` old."""
    for name, thread in threads.items():
        if not thread.is_alive():
            return name
    for name, beat in beats.items():
        if time.monotonic() - beat() > limit_s:
            return name
    return ""
