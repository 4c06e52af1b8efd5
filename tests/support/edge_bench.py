"""A whole device in one process, for the browser tests, the screenshots and the measurements."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from edge.config import load
from edge.device import Device
from edge.kiosk.app import create_app
from edge.reporting.enroll import ensure_key

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Bench:
    """A running device and the address of its page."""

    device: Device
    url: str


@contextmanager
def bench(state: Path, camera: Path, server: str, **sections: dict[str, Any]) -> Iterator[Bench]:
    """Runs a device on a free port until the block ends; `sections` override the configuration."""
    overrides: dict[str, dict[str, Any]] = {
        "device": {"state_dir": state, "id": "ward-3"},
        "camera": {"source": f"folder:{camera}"},
        "server": {
            "addresses": [server],
            "attempts": 1,
            "deadline_s": 5.0,
            "backoff_s": 0.05,
            "longest_pause_s": 0.5,
        },
        "storage": {"min_free_mb": 0},
    }
    for name, values in sections.items():
        overrides.setdefault(name, {}).update(values)
    config = load(None, overrides)
    ensure_key(config)
    device = Device(config)
    device.start()
    try:
        with page(device) as url:
            yield Bench(device, url)
    finally:
        device.close()


@contextmanager
def page(device: Device) -> Iterator[str]:
    """Serves the page of a device on a free port; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(device),
        log_config=None,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=1,
        ws="none",
    )
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        device.stop.set()  # ends the endless responses
        web.should_exit = True
        thread.join(timeout=10)
        listener.close()
