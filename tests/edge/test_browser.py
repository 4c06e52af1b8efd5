"""A real browser at 800x480 walks through a nurse's day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from edge.camera.sample import draw
from tests.support.edge_bench import CHROMIUM, FLAGS, Bench, bench
from tests.support.edge_doubles import ModelServer, Network, answer

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (apt-get install chromium)"
)


class Ward:
    """A device, its server behind a network that can be cut, and a browser in front of it."""

    def __init__(self, made: Bench, page: Page, server: ModelServer, network: Network, camera: Path) -> None:
        self.device, self.url, self.page = made.device, made.url, page
        self.server, self.network, self.camera = server, network, camera
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def touch_targets_are_large(self) -> None:
        small = self.page.evaluate(
            """() => [...document.querySelectorAll("a, button, input:not([type=hidden])")]
              .filter((e) => e.checkVisibility())
              .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
              .filter(([, box]) => box.width < 48 || box.height < 48).map(([html]) => html)"""
        )
        assert small == []

    def fits_the_screen(self) -> None:
        outside = self.page.evaluate(
            """() => [...document.querySelectorAll("main *, header *, nav *")]
              .filter((e) => e.checkVisibility() && !e.closest(".scroll, svg, .servers"))
              .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
              .filter(([, box]) => box.right > 801 || box.bottom > 481 || box.left < 0 || box.top < 0)
              .map(([html]) => html)"""
        )
        assert outside == []

    def small_text(self) -> list[str]:
        found: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll("body *")]
              .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
              .filter((e) => parseFloat(getComputedStyle(e).fontSize) < 13).map((e) => e.textContent)"""
        )
        return found


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    camera, state = tmp_path_factory.mktemp("camera"), tmp_path_factory.mktemp("state")
    (camera / "a.jpg").write_bytes(draw(800, 600))
    server = ModelServer(lambda _jpeg, _context: answer(0.42))
    network = Network(server.port)
    with bench(state, camera, network.address) as made, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 800, "height": 480}, has_touch=True)
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)  # shared cores
        yield Ward(made, page, server, network, camera)
        browser.close()
    network.close()
    server.close()


def test_capture_and_result(ward: Ward) -> None:
    page = ward.page
    ward.go("/")
    expect(page.locator(".pill.ok")).to_be_visible()
    expect(page.locator("#preview")).to_have_js_property("width", 448)
    ward.touch_targets_are_large()
    ward.fits_the_screen()
    page.tap("#code")
    ward.touch_targets_are_large()
    for key in "P-77":
        page.tap(f'[data-key="{key}"]')
    page.tap('[data-act="delete"]')
    expect(page.locator("#typed")).to_have_text("P-7")
    page.tap('[data-act="done"]')
    page.tap("#shutter")
    expect(page.locator("h1.refer span")).to_have_text("Refer")
    expect(page.locator("#probability")).to_have_text("42\u00a0%")
    expect(page.locator("main")).to_contain_text("Code P-7")
    expect(page.locator("main")).to_contain_text("Model 1795300000")
    expect(page.locator("main")).to_contain_text("This is not a diagnosis")
    ward.touch_targets_are_large()
    ward.fits_the_screen()
    page.tap("text=New photograph")
    expect(page.locator("#code")).to_have_value("")


def test_offline_capture_and_reconnect(ward: Ward) -> None:
    page = ward.page
    before = len(ward.server.ids())
    ward.network.cut()
    ward.go("/?code=P-8")
    expect(page.locator(".pill.down")).to_be_visible()
    page.tap("#shutter")
    expect(page.locator("h1.waiting")).to_be_visible()
    expect(page.locator("main")).to_contain_text("safe on this device")
    expect(page.locator(".pill.wait")).to_have_text("1 waiting")
    ward.fits_the_screen()
    page.tap(".pill.notice")
    expect(page.locator(".notice-card h1")).to_have_text("No server answers")
    ward.touch_targets_are_large()
    ward.fits_the_screen()
    ward.go(f"/examinations/{ward.device.queue.page(1)[0].id}")
    ward.network.mend()
    # Nobody touches the screen: the page itself shows the answer when it comes.
    expect(page.locator("#probability")).to_have_text("42\u00a0%")
    expect(page.locator(".pill.ok")).to_be_visible()
    assert len(ward.server.ids()) == before + 1


def test_history(ward: Ward) -> None:
    page = ward.page
    ward.go("/")
    page.tap("nav a[href='/history']")
    expect(page.locator(".rows li")).to_have_count(2)
    expect(page.locator(".rows li").first).to_contain_text("P-8")
    ward.touch_targets_are_large()
    ward.fits_the_screen()
    page.tap(".rows li:last-child a")
    expect(page.locator("main")).to_contain_text("Code P-7")


def test_settings_and_the_second_language(ward: Ward) -> None:
    page = ward.page
    ward.go("/settings")
    ward.touch_targets_are_large()
    page.tap("text=Check the servers")
    expect(page.locator(".servers .good")).to_contain_text("ready, version")
    page.tap("text=Deutsch")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    for path in ("/settings", "/", "/history", "/notices"):
        ward.go(path)
        ward.fits_the_screen()
        ward.touch_targets_are_large()
        assert ward.small_text() == []
    ward.go("/settings")
    page.tap("text=English")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_bad_photograph_is_taken_again(ward: Ward) -> None:
    page = ward.page
    good = (ward.camera / "a.jpg").read_bytes()
    (ward.camera / "a.jpg").write_bytes(draw(800, 600, x=0.95, y=0.95))
    ward.go("/?code=P-9")
    page.tap("#shutter")
    expect(page.locator(".advice li")).to_have_text(re.compile("off the middle"))
    ward.touch_targets_are_large()
    ward.fits_the_screen()
    (ward.camera / "a.jpg").write_bytes(good)
    page.tap("text=Take again")
    expect(page.locator("#code")).to_have_value("P-9")
    page.tap("#shutter")
    expect(page.locator("#probability")).to_be_visible()


def test_the_button_on_the_case_presses_the_shutter(ward: Ward) -> None:
    before = ward.device.queue.counts()["total"]
    ward.go("/?code=P-10")
    expect(ward.page.locator("#preview")).to_have_js_property("width", 448)
    ward.device.press()
    expect(ward.page.locator("#probability")).to_be_visible()
    assert ward.device.queue.counts()["total"] == before + 1
    assert ward.device.queue.page(1)[0].code == "P-10"


def test_an_unplugged_camera_comes_back_by_itself(ward: Ward) -> None:
    page = ward.page
    ward.go("/")
    expect(page.locator("#preview")).to_have_js_property("width", 448)
    away = ward.camera.rename(ward.camera.with_name("unplugged"))
    expect(page.locator(".camera-lost")).to_be_visible()
    expect(page.locator("#shutter")).to_be_disabled()
    ward.fits_the_screen()
    away.rename(ward.camera)
    expect(page.locator(".camera-lost")).to_be_hidden()
    expect(page.locator("#shutter")).to_be_enabled()
    expect(page.locator("#preview")).to_have_js_property("width", 448)


def test_scanning_can_be_given_up(ward: Ward) -> None:
    ward.go("/")
    ward.page.tap("#scan")
    expect(ward.page.locator("#scanner")).to_be_visible()
    ward.touch_targets_are_large()
    ward.page.tap("#scan-cancel")
    expect(ward.page.locator("#scanner")).to_be_hidden()


def test_nothing_was_complained_of_and_nothing_came_from_elsewhere(ward: Ward) -> None:
    # An unplugged camera is answered with 503 and a photograph to take again with 422, which the browser logs.
    answers = ("status of 503", "status of 422")
    assert [text for text in ward.complaints if not any(code in text for code in answers)] == []
    assert {url.split("/")[2] for url in ward.requests} == {ward.url.split("/")[2]}
