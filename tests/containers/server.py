"""The server's container, its ports and its end."""

from __future__ import annotations

import contextlib
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.containers.engine import RESTRICTED, Engine


class Running:
    """A running container."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    def address(self, port: int) -> str:
        """Where a published port is."""
        return self.engine.docker("port", self.name, str(port)).splitlines()[0].strip()

    def logs(self) -> str:
        """What it wrote, stderr included."""
        done = subprocess.run(
            ["docker", "logs", self.name],
            env=self.engine.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    def await_page(self, url: str, timeout: float = 120) -> None:
        """Wait until a page answers 200."""
        limit = time.monotonic() + timeout
        while True:
            with contextlib.suppress(OSError, urllib.error.HTTPError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - a test's own server
                return
            state = self.engine.inspect(self.name)["State"]
            assert state["Running"], self.logs()[-3000:]
            assert time.monotonic() < limit, self.logs()[-3000:]
            time.sleep(0.2)


@contextlib.contextmanager
def started(engine: Engine, image: str, options: Sequence[str], *arguments: str) -> Iterator[Running]:
    """Run a container in the background; it is removed afterwards, whatever happened."""
    name = f"melanosizer-test-{uuid.uuid4().hex[:8]}"
    engine.docker("run", "--detach", "--name", name, *options, image, *arguments)
    try:
        yield Running(engine, name)
    finally:
        engine.docker("rm", "--force", name)


@contextlib.contextmanager
def model_server(engine: Engine, image: str, workspace: Path, *publish: int) -> Iterator[Running]:
    """The embedded server on a workspace's released models, as its image starts it, and ready."""
    options = [
        *RESTRICTED,
        *("--tmpfs", "/tmp:size=64m"),
        *("--volume", f"{workspace / 'serving'}:/workspace/serving:ro"),
    ]
    for port in (8500, 8501, *publish):
        options += ["--publish", f"127.0.0.1::{port}"]
    with started(engine, image, options) as server:
        server.await_page(f"http://{server.address(8501)}/readyz")
        yield server


def lesion() -> bytes:
    """A drawn photograph."""
    from edge.camera.sample import draw

    return bytes(draw())
