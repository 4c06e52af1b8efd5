"""Button, light, watchdog and vital signs."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from core.worker import Worker
from edge import watchdog
from edge.config import PinsSection
from edge.pins import Pins, PinsError
from edge.reporting.records import memory_bytes, temperature_c


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    old = gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory = MockFactory()
    yield gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = old


def test_the_button_is_the_shutter(factory: MockFactory) -> None:
    pressed = threading.Event()
    pins = Pins(PinsSection(shutter=17, factory="mock"), pressed.set)
    factory.pin(17).drive_low()
    assert pressed.wait(120)
    pins.close()


def test_the_light_tells_the_state(factory: MockFactory) -> None:
    pins = Pins(PinsSection(led=27, factory="mock"), lambda: None)
    pin = factory.pin(27)
    pins.show("ready")
    assert pin.state
    pins.show("trouble")
    assert not pin.state
    pins.show("waiting")
    for lit in (True, False, True):  # it blinks
        limit = time.monotonic() + 120
        while pin.state != lit:
            assert time.monotonic() < limit
            time.sleep(0.01)
    pins.close()


def test_no_pins_is_nothing_to_do() -> None:
    pins = Pins(PinsSection(), lambda: None)
    pins.show("ready")
    pins.close()


def test_pins_that_cannot_be_had_say_what_to_check(factory: MockFactory) -> None:
    taken = Pins(PinsSection(shutter=17, factory="mock"), lambda: None)
    with pytest.raises(PinsError, match=r"pins\.shutter"):
        Pins(PinsSection(led=17, factory="mock"), lambda: None)
    taken.close()


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        watchdog.notify("READY=1")
        assert listener.recv(100) == b"READY=1"
        watchdog.watch(lambda: "")
        assert listener.recv(100) == b"WATCHDOG=1"
    monkeypatch.delenv("NOTIFY_SOCKET")
    watchdog.notify("nobody listens")


def test_a_stalled_loop_ends_the_process() -> None:
    codes: list[int] = []
    watchdog.watch(lambda: "sender", give_up=codes.append)
    assert codes == [watchdog.EXIT_STALLED]


def test_dead_silent_and_failing_workers_are_named() -> None:
    dead, alive = Worker("dead", 3600, lambda: None), Worker("alive", 3600, lambda: None)
    alive.start()
    try:
        assert watchdog.stalled({alive: 1000, dead: 1000}) == "dead"
        assert watchdog.stalled({alive: 1000}) == ""
        alive.beat -= 1001
        assert watchdog.stalled({alive: 1000}) == "alive"
        assert watchdog.stalled({alive: math.inf}) == ""
        alive.failures = watchdog.MOST_FAILURES
        assert watchdog.stalled({alive: math.inf}) == "alive"
    finally:
        alive.stop()


def test_the_temperature_is_read_where_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "temp"
    path.write_text("48312\n")
    assert temperature_c(path) == pytest.approx(48.312)
    assert temperature_c(tmp_path / "none") is None
    assert memory_bytes() > 10_000_000
