"""A real browser at 800x480 walks through a nurse's day."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from core.files import write_atomic
from edge.camera.sample import draw
from edge.kiosk import app
from edge.queue.examination import new_id
from tests.support.edge_bench import CHROMIUM
from tests.support.edge_screen import Ward

pytestmark = [
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (apt-get install chromium)"
    ),
    # One device for all tests here: each goes on where the one before ended.
    pytest.mark.random_order(disabled=True),
]


def take(ward: Ward, *codes: str) -> None:
    """Photograph once for each code, without the screen."""
    for code in codes:
        ward.device.capture(new_id(), code)


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
    take(ward, "P-31", "P-32")
    ward.go("/")
    page.tap("nav a[href='/history']")
    expect(page.locator(".rows li").nth(0)).to_contain_text("P-32")
    expect(page.locator(".rows li").nth(1)).to_contain_text("P-31")
    ward.touch_targets_are_large()
    ward.fits_the_screen()
    page.tap(".rows li:nth-child(2) a")
    expect(page.locator("main")).to_contain_text("Code P-31")


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
        ward.is_fit()
    ward.go("/settings")
    page.tap("text=English")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_bad_photograph_is_taken_again(ward: Ward) -> None:
    page = ward.page
    good = (ward.camera / "a.jpg").read_bytes()
    write_atomic(ward.camera / "a.jpg", draw(800, 600, x=0.95, y=0.95))
    ward.go("/?code=P-9")
    page.tap("#shutter")
    expect(page.locator(".advice li")).to_have_text(re.compile("off the middle"))
    ward.touch_targets_are_large()
    ward.fits_the_screen()
    write_atomic(ward.camera / "a.jpg", good)
    page.tap("text=Take again")
    expect(page.locator("#code")).to_have_value("P-9")
    page.tap("#shutter")
    expect(page.locator("#probability")).to_be_visible()


def test_the_button_on_the_case_presses_the_shutter(ward: Ward) -> None:
    before = ward.device.queue.counts()["total"]
    ward.go("/?code=P-10")
    expect(ward.page.locator("#preview")).to_have_js_property("width", 448)
    expect(ward.page.locator("#shutter")).to_be_enabled()
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


def test_what_was_sent_anyway_says_so(ward: Ward) -> None:
    page = ward.page
    good = (ward.camera / "a.jpg").read_bytes()
    write_atomic(ward.camera / "a.jpg", draw(800, 600, x=0.95, y=0.95))
    ward.go("/?code=P-11")
    expect(page.locator("#shutter")).to_be_enabled()
    page.tap("#shutter")
    page.tap("text=Send it anyway")
    expect(page.locator(".note.review")).to_have_text("Sent anyway: off the middle")
    ward.go("/history")
    expect(page.locator(".rows li").first).to_contain_text("sent anyway")
    record = page.request.get(f"{ward.url}/examinations/{ward.device.queue.page(1)[0].id}.json").json()
    assert record["quality"]["advice"] == ["off_centre"]
    write_atomic(ward.camera / "a.jpg", good)


@pytest.mark.parametrize("path", ["/", "/history", "/settings", "/notices", "/nowhere", "result"])
def test_a_usb_scanner_types_the_code_on_every_page_and_presses_nothing(ward: Ward, path: str) -> None:
    page = ward.page
    take(ward, "P-51")
    total = ward.device.queue.counts()["total"]
    ward.go(f"/examinations/{ward.device.queue.page(1)[0].id}" if path == "result" else path)
    expect(page.locator("nav")).to_be_visible()
    for focused in ("nav a >> nth=1", ".button >> nth=-1", "#shutter", "#code"):
        if page.locator(focused).count() and page.locator(focused).is_visible():
            if focused == "#shutter":
                expect(page.locator("#shutter")).to_be_enabled()
            page.locator(focused).focus()
            ward.scan("p-4711")
            expect(page.locator("#code")).to_have_value("P-4711")
            page.keyboard.press("Enter")  # some scanners send two
            if path != "/":
                break  # the first scan led to the camera page
            page.locator("#code").evaluate("(code) => { code.value = 'OLD'; }")
    expect(page.locator("#capture")).to_be_visible()
    assert ward.device.queue.counts()["total"] == total


def test_a_usb_scanner_types_into_the_open_keypad(ward: Ward) -> None:
    page = ward.page
    total = ward.device.queue.counts()["total"]
    ward.go("/")
    page.tap("#code")
    page.tap('[data-key="Q"]')
    ward.scan("P-815")
    expect(page.locator("#keypad")).to_be_hidden()
    expect(page.locator("#code")).to_have_value("P-815")
    # What is not a code is not taken, and says how one looks.
    ward.scan("Jane Doe")
    expect(page.locator("#message")).to_contain_text("This code does not fit. A code looks like")
    expect(page.locator("#code")).to_have_value("P-815")
    assert ward.device.queue.counts()["total"] == total


def test_a_code_can_still_be_typed_on_a_keyboard(ward: Ward) -> None:
    page = ward.page
    ward.go("/?code=P-1")
    page.locator("#code").focus()
    page.keyboard.press("End")
    page.keyboard.press("Backspace")
    page.keyboard.type("77", delay=400)
    page.keyboard.press("Enter")
    expect(page.locator("#code")).to_have_value("P-77")


def test_the_history_is_searched_and_jumped_in(ward: Ward) -> None:
    page = ward.page
    take(ward, "P-41", "P-42", "P-43", "P-44", "P-45", "P-46", "P-47")
    ward.go("/history")
    page.tap("input[name=q]")
    for key in "P-41":
        page.tap(f'[data-key="{key}"]')
    page.tap('[data-act="done"]')
    expect(page.locator(".rows li")).to_have_count(1)
    expect(page.locator(".rows li")).to_contain_text("P-41")
    page.tap("text=Show all")
    expect(page.locator(".rows li").first).to_contain_text("P-47")
    page.tap("input[name=page]")
    expect(page.locator('[data-key="P"]')).to_be_disabled()
    page.tap('[data-key="2"]')
    page.tap('[data-act="done"]')
    expect(page.locator(".rows li").first).to_contain_text("P-42")


def test_a_page_that_does_not_exist_goes_back_by_itself(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "RETURN_S", 1)
    response = ward.page.goto(f"{ward.url}/nowhere")
    assert response is not None
    assert response.status == 404
    expect(ward.page.locator(".notice-card")).to_contain_text("There is no such page")
    expect(ward.page.locator("#capture")).to_be_visible()


def test_a_fault_inside_has_the_way_back(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ward.device.queue, "page", broken)
    ward.go("/")
    ward.page.tap("nav a[href='/history']")
    expect(ward.page.locator(".notice-card")).to_contain_text("Nothing that was photographed is lost")
    ward.page.tap("text=Back to the camera")
    expect(ward.page.locator("#capture")).to_be_visible()


def test_nothing_was_complained_of_and_nothing_came_from_elsewhere(ward: Ward) -> None:
    # What was provoked above, which the browser logs by itself.
    answers = ("status of 503", "status of 422", "status of 404", "status of 500")
    assert [text for text in ward.complaints if not any(code in text for code in answers)] == []
    assert {url.split("/")[2] for url in ward.requests} == {ward.url.split("/")[2]}
