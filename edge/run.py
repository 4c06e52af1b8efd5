"""Runs the device: its threads and its page, until it is told to stop."""

from __future__ import annotations

import logging
import socket
import sys

import uvicorn

from core import telemetry
from core.worker import Worker
from edge.config import Config, ConfigError
from edge.device import Device
from edge.kiosk.app import create_app
from edge.reporting.enroll import ensure_key
from edge.watchdog import LOOK_S, notify, watch

log = logging.getLogger(__name__)

DRAIN_S = 2


def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises KeyFileError or ConfigError before anything was started."""
    if ensure_key(config):
        log.warning(
            "made a storage key at %s: keep a copy elsewhere, or what is unsent dies with the card",
            config.storage_key_file,
        )
    listener = _listen(config)
    telemetry.configure("melanosizer-edge")
    device = Device(config)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(device),
            # Its own would close every handler there is, of other libraries too.
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
            lifespan="off",
        )
    )
    _end_streams_with(server, device)
    # Of a process of its own: a device inside another one, as in a test, must not end that.
    watchdog = Worker("watchdog", LOOK_S, lambda: watch(device.stalled), stop=device.stop)
    device.start()
    watchdog.start()
    host, port = listener.getsockname()[:2]
    # As every answer of this command, and where its warnings go; a log line would need a level.
    print(f"melanosizer-edge: ready: open http://{host}:{port}", file=sys.stderr, flush=True)
    notify("READY=1")
    try:
        server.run(sockets=[listener])
    finally:
        notify("STOPPING=1")
        device.close()
        watchdog.join()


def _end_streams_with(server: uvicorn.Server, device: Device) -> None:
    """End the endless responses at the first signal, so that closing need not wait for a viewer to leave."""
    leave = server.handle_exit

    def handle_exit(sig: int, frame: object) -> None:
        device.stop.set()
        leave(sig, frame)  # type: ignore[arg-type]

    server.handle_exit = handle_exit  # type: ignore[method-assign]


def _listen(config: Config) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in config.kiosk.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.kiosk.host, config.kiosk.port))
        # From here on a browser that comes early waits a moment instead of being turned away.
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"kiosk.host {config.kiosk.host}, kiosk.port {config.kiosk.port}: {error.strerror}; is another one "
            "running? Give another --port, or 0 for a free one"
        ) from None
    return listener
