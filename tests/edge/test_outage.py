"""A real browser before a device whose process is killed, frozen or hangs: the page is never untrue and comes back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from core.protos import prediction_service_pb2 as serving
from edge.camera.sample import draw
from tests.support.edge_bench import CHROMIUM, FLAGS
from tests.support.edge_doubles import ModelServer, answer
from tests.support.edge_process import DeviceProcess
from tests.support.edge_screen import PATIENCE_MS
from tests.support.ports import free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (apt-get install chromium)"
    ),
]
CONFIG = """
[device]
id = "ward-3"
state_dir = "{state}"
[camera]
source = "folder:{camera}"
deadline_s = 2.0
[server]
addresses = ["{server}"]
attempts = 1
[storage]
min_free_mb = 0
[kiosk]
port = {port}
wait_s = 30.0
"""
# The middle of the canvas, as [red, green, blue].
MIDDLE = """() => {
  const canvas = document.getElementById("preview"), pen = canvas.getContext("2d");
  return [...pen.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, timeout=PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield found
        found.close()


class Kiosk:
    """A device in a process of its own, and its screen."""

    def __init__(self, folder: Path, page: Page, server: ModelServer) -> None:
        self.page, self.server = page, server
        self.camera = folder / "camera"
        self.camera.mkdir()
        self.picture = self.camera / "a.jpg"
        self.picture.write_bytes(draw(800, 600))
        config = folder / "edge.toml"
        config.write_text(
            CONFIG.format(
                state=folder / "state", camera=self.camera, server=server.address, port=free_ports(1)[0]
            )
        )
        self.process = DeviceProcess(config)

    def start(self) -> None:
        """Start the device and open its page."""
        self.process.start()
        self.page.goto(self.process.url)
        self.is_live()

    def is_live(self) -> None:
        expect(self.page.locator("#shutter")).to_be_enabled()
        expect(self.page.locator(".cover:visible")).to_have_count(0)
        expect(self.page.locator(".pill.ok")).to_be_visible()

    def is_covered(self) -> None:
        expect(self.page.locator(".cover.still")).to_be_visible()
        expect(self.page.locator("#shutter")).to_be_disabled()
        expect(self.page.locator(".pill.stale")).to_be_visible()
        expect(self.page.locator(".pill.ok")).to_be_hidden()
        assert self.page.evaluate(MIDDLE) == [0, 0, 0]  # nothing of the old picture is left

    def hang_camera(self) -> None:
        """Put a pipe in the picture's place: whoever opens it waits, as for a sensor that lost its clock."""
        self.picture.unlink()
        os.mkfifo(self.picture)

    def mend_camera(self, picture: bytes) -> None:
        pipe = os.open(self.picture, os.O_RDWR | os.O_NONBLOCK)  # lets those go who wait
        fresh = self.camera.with_name("fresh.jpg")
        fresh.write_bytes(picture)
        fresh.replace(self.picture)
        os.close(pipe)


@pytest.fixture
def kiosk(tmp_path: Path, browser: Browser) -> Iterator[Kiosk]:
    server = ModelServer(lambda _jpeg, _context: answer(0.42))
    context = browser.new_context(viewport={"width": 800, "height": 480}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    made = Kiosk(tmp_path, page, server)
    try:
        made.start()
        yield made
    finally:
        context.close()
        made.process.stop(signal.SIGKILL)
        server.close()


def test_a_restart_covers_the_picture_and_comes_back_with_a_new_one(kiosk: Kiosk) -> None:
    before = kiosk.page.evaluate(MIDDLE)
    kiosk.process.kill()
    kiosk.is_covered()
    kiosk.picture.write_bytes(draw(800, 600, x=0.1, y=0.1))
    kiosk.process.start()
    kiosk.is_live()
    assert kiosk.page.evaluate(MIDDLE) != before


def test_a_process_that_stands_still_covers_the_picture(kiosk: Kiosk) -> None:
    kiosk.process.freeze()
    kiosk.is_covered()
    kiosk.process.freeze(signal.SIGCONT)
    kiosk.is_live()


def test_no_touch_leads_to_the_browsers_error_page(kiosk: Kiosk) -> None:
    page = kiosk.page
    kiosk.process.kill()
    kiosk.is_covered()
    page.tap("#shutter", force=True)
    page.evaluate("document.getElementById('capture').requestSubmit()")
    page.tap("nav a[href='/settings']")
    expect(page.locator(".pill.stale")).to_be_visible()
    assert page.evaluate("location.protocol") == "http:"
    kiosk.process.start()
    expect(page.locator(".settings")).to_be_visible()  # what was wanted, without another touch
    expect(page.locator(".pill.ok")).to_be_visible()


def test_even_a_reload_while_the_device_is_down_comes_back(kiosk: Kiosk) -> None:
    page = kiosk.page
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    kiosk.process.kill()
    page.goto(kiosk.process.url + "/history")
    expect(page.locator(".page-offline")).to_contain_text("The picture comes back by itself")
    kiosk.process.start()
    expect(page.locator(".page-history .empty")).to_contain_text("No examination yet")


def test_a_press_that_was_cut_off_shows_what_became_of_it(kiosk: Kiosk) -> None:
    release = threading.Event()

    def slow(_jpeg: bytes, _context: grpc.ServicerContext) -> serving.PredictResponse:
        release.wait(120)
        return answer(0.42)

    kiosk.server.reply = slow
    kiosk.page.tap("#shutter")
    with kiosk.server.arrived:
        assert kiosk.server.arrived.wait_for(lambda: kiosk.server.deliveries, timeout=120)
    kiosk.process.kill()  # the photograph is on the card, the answer is not
    release.set()
    kiosk.process.start()
    expect(kiosk.page.locator("#probability")).to_have_text("42\u00a0%")
    assert len(kiosk.server.ids()) == 1


def test_a_press_that_took_nothing_says_so(kiosk: Kiosk) -> None:
    def freeze_and_send(route: Route) -> None:
        kiosk.process.freeze()  # the press arrives, and nobody reads it
        route.continue_()

    kiosk.page.route("**/examinations", freeze_and_send, times=1)
    kiosk.page.tap("#shutter")
    expect(kiosk.page.locator(".viewer.taking")).to_be_visible()
    kiosk.process.kill()
    kiosk.process.start()
    expect(kiosk.page.locator("#message")).to_have_text("The photograph was not taken. Please press again.")
    kiosk.is_live()
    kiosk.page.tap("#shutter")
    expect(kiosk.page.locator("#probability")).to_have_text("42\u00a0%")
    assert len(kiosk.server.ids()) == 1


def test_a_camera_that_hangs_is_shown_and_opened_again(kiosk: Kiosk) -> None:
    page = kiosk.page
    kiosk.hang_camera()
    expect(page.locator(".cover:visible")).to_have_count(1)
    expect(page.locator("#shutter")).to_be_disabled()
    expect(page.locator(".camera-hung")).to_be_visible()
    expect(page.locator(".pill.notice")).to_have_text("The camera hangs")
    kiosk.mend_camera(draw(800, 600))
    kiosk.is_live()


def test_a_camera_that_hangs_on_ends_the_process_and_the_page_lives_on(kiosk: Kiosk) -> None:
    kiosk.hang_camera()
    kiosk.page.tap("nav a[href='/history']")
    expect(kiosk.page.locator(".empty")).to_be_visible()  # other pages answer meanwhile
    kiosk.page.tap("nav a[href='/']")
    assert kiosk.process.restart_when_it_ends() == 70
    expect(kiosk.page.locator(".camera-hung")).to_be_visible()
    kiosk.mend_camera(draw(800, 600))
    kiosk.is_live()
