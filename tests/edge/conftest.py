"""Fixtures of the device's tests."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.camera.sample import draw
from edge.config import load
from edge.device import Device
from edge.queue.encryption import Encryptor
from edge.queue.examination import Examination, new_id
from edge.queue.queue import Queue
from edge.reporting.enroll import ensure_key
from tests.support.edge_bench import page as edge_page
from tests.support.edge_doubles import FleetGateway, ModelServer, Network
from tests.support.edge_screen import Ward, ward_at

KEY = bytes(range(32))
Capture = Callable[..., Examination]
Start = Callable[..., Device]


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A small drawn lesion."""
    return draw(640, 480)


@pytest.fixture
def encryptor() -> Encryptor:
    return Encryptor(KEY)


@pytest.fixture
def open_queue(tmp_path: Path, encryptor: Encryptor) -> Iterator[Callable[..., Queue]]:
    """Opens the queue in tmp_path/state, as often as a test restarts the device."""
    opened: list[Queue] = []

    def open_one(budget: int = 10**9, min_free: int = 0, key: bytes = KEY) -> Queue:
        for earlier in opened:
            earlier.close()  # the folder is one process's at a time
        queue = Queue(tmp_path / "state", Encryptor(key), budget_bytes=budget, min_free_bytes=min_free)
        opened.append(queue)
        return queue

    (tmp_path / "state").mkdir()
    yield open_one
    for queue in opened:
        queue.close()


@pytest.fixture
def queue(open_queue: Callable[..., Queue]) -> Queue:
    return open_queue()


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens, held so that nobody else does either: a connection is refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def network(model_server: ModelServer) -> Iterator[Network]:
    """A network before the model server that can be cut."""
    network = Network(model_server.port)
    yield network
    network.close()


@pytest.fixture
def gateway_double() -> Iterator[FleetGateway]:
    gateway = FleetGateway()
    yield gateway
    gateway.close()


@pytest.fixture
def camera_folder(tmp_path: Path, picture: bytes) -> Path:
    """A folder with one good picture."""
    folder = tmp_path / "camera"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(picture)
    return folder


@pytest.fixture
def examination() -> Examination:
    return Examination(new_id(), 0, "P-1", 1_795_300_000.0, True, 640, 480, "0" * 64)


@pytest.fixture
def take(queue: Queue, examination: Examination, picture: bytes) -> Capture:
    """Adds one more examination to the queue."""

    def take_one(jpeg: bytes = picture, **changes: object) -> Examination:
        return queue.add(replace(examination, **{"id": new_id(), **changes}), jpeg)  # type: ignore[arg-type]

    return take_one


@pytest.fixture
def start(tmp_path: Path, camera_folder: Path, model_server: ModelServer) -> Iterator[Start]:
    """Starts a device; its configuration can be changed section by section."""
    devices = []

    def make(**sections: dict[str, Any]) -> Device:
        overrides: dict[str, dict[str, Any]] = {
            "device": {"state_dir": tmp_path / "state", "id": "ward-3"},
            "camera": {"source": f"folder:{camera_folder}"},
            "server": {
                "addresses": [model_server.address],
                "attempts": 1,
                "deadline_s": 60.0,
                "longest_pause_s": 0.2,
            },
            "storage": {"min_free_mb": 0},
            "kiosk": {"wait_s": 30.0},
        }
        for name, values in sections.items():
            overrides.setdefault(name, {}).update(values)
        config = load(None, overrides)
        config.device.state_dir.mkdir(exist_ok=True)
        ensure_key(config)
        devices.append(Device(config))
        devices[-1].start()
        return devices[-1]

    yield make
    for device in devices:
        device.close()


@pytest.fixture
def device(start: Start) -> Device:
    return start()


@pytest.fixture
def page_of() -> Iterator[Callable[[Device], httpx.Client]]:
    """Serves a device's page and gives a client for it."""
    with contextlib.ExitStack() as stack:

        def serve(device: Device) -> httpx.Client:
            url = stack.enter_context(edge_page(device))
            client = httpx.Client(base_url=url, follow_redirects=True, timeout=120)
            return stack.enter_context(client)

        yield serve


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """A device behind a real browser, one for all tests of a file, which walk through a day."""
    with ward_at(tmp_path_factory.mktemp("ward")) as made:
        yield made


@pytest.fixture
def page(device: Device, page_of: Callable[[Device], httpx.Client]) -> httpx.Client:
    return page_of(device)
