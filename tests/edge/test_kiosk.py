"""The page's routes, its texts, and who may use it."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import httpx
import pytest
import zxingcpp
from PIL import Image, ImageOps

from core.records.heartbeat import NOTICE_KINDS
from edge.camera.sample import draw
from edge.device import Device
from edge.kiosk import views
from edge.kiosk.code_pattern import read_code
from edge.queue.examination import new_id
from tests.support.edge_doubles import ModelServer, answer

KIOSK = Path(views.__file__).parent
Start = Callable[..., Device]


def press(page: httpx.Client, code: str = "P-1", **headers: str) -> Any:
    return page.post("/examinations", data={"press": new_id(), "code": code}, headers=headers)


def test_a_press_leads_to_the_answer(page: httpx.Client, device: Device) -> None:
    shown = press(page, "p-12")
    assert shown.status_code == 200
    assert re.search(r'id="probability"[^>]*>[\d.]+\u00a0%', shown.text)
    assert "P-12" in shown.text
    assert "not a diagnosis" in shown.text
    assert "1795300000" in shown.text
    assert "Operating point 30\u00a0%" in shown.text
    (one,) = device.queue.page(5)
    picture = page.get(f"/examinations/{one.id}/photo.jpg")
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content == device.queue.picture(one.id)
    assert page.get(f"/examinations/{one.id}.json").json()["state"] == "answered"


def test_the_same_press_twice_is_one_photograph(page: httpx.Client, device: Device) -> None:
    data = {"press": new_id(), "code": ""}
    first, second = page.post("/examinations", data=data), page.post("/examinations", data=data)
    assert first.url == second.url
    assert device.queue.counts()["total"] == 1


@pytest.mark.parametrize("code", ["Jane Doe", "<script>", "A" * 40])
def test_a_code_that_may_be_a_name_is_refused(page: httpx.Client, device: Device, code: str) -> None:
    shown = press(page, code)
    assert shown.status_code == 400
    assert "Never a name" in shown.text
    assert device.queue.counts()["total"] == 0


def test_a_bad_photograph_says_what_to_change(
    page: httpx.Client, device: Device, camera_folder: Path
) -> None:
    (camera_folder / "a.jpg").write_bytes(draw(640, 480, x=0.95, y=0.95))
    shown = press(page, "P-9")
    assert shown.url.path == "/retake"
    assert "off the middle" in shown.text
    assert device.queue.counts()["total"] == 0
    assert page.get("/draft.jpg").status_code == 200
    assert 'href="/?code=P-9"' in shown.text
    assert device.draft is not None
    kept = page.post("/retake", data={"press": device.draft.id})
    assert "probability" in kept.text
    (one,) = device.queue.page(5)
    assert one.quality["advice"] == ["off_centre"]
    assert page.get("/draft.jpg").status_code == 404


def test_bad_photographs_can_be_forbidden(
    start: Start, page_of: Callable[[Device], httpx.Client], camera_folder: Path
) -> None:
    device = start(quality={"refuse": True})
    page = page_of(device)
    (camera_folder / "a.jpg").write_bytes(draw(640, 480, x=0.95, y=0.95))
    assert "Send it anyway" not in press(page).text
    assert device.draft is not None
    assert page.post("/retake", data={"press": device.draft.id}).url.path == "/"
    assert device.queue.counts()["total"] == 0


def test_history_pages(page: httpx.Client, device: Device) -> None:
    assert "No examination yet" in page.get("/history").text
    for number in range(7):
        press(page, f"P-{number}")
    first = page.get("/history").text
    assert first.index("P-6") < first.index("P-2")
    assert "1–5 of 7" in first
    assert "6–7 of 7" in page.get("/history?page=2").text
    assert "6–7 of 7" in page.get("/history?page=99").text
    assert page.get("/history?page=x").status_code == 200


def test_the_chosen_language_survives_a_restart(page: httpx.Client, device: Device, start: Start) -> None:
    shown = page.post("/settings", data={"language": "de"})
    assert "Sprache" in shown.text
    assert '<html lang="de">' in page.get("/").text
    assert device.queue.fact("language", "") == "de"
    assert "Zielkreis" in page.post("/settings", data={"guide": "off"}).text
    assert 'class="guide"' not in page.get("/").text
    wrong = page.post("/settings", data={"language": "fr"}, headers={"accept": "application/json"})
    assert wrong.status_code == 400
    assert "('en', 'de')" in wrong.json()["error"]


def test_the_settings_page_checks_every_server(page: httpx.Client, model_server: ModelServer) -> None:
    shown = page.get("/settings?check").text
    assert model_server.address in shown
    assert "ready, version 1795300000" in shown


def test_qr_codes_are_read_from_the_preview(page: httpx.Client, device: Device, camera_folder: Path) -> None:
    assert page.post("/scan").json() == {"code": None}
    barcode = zxingcpp.create_barcode("p-4711", zxingcpp.BarcodeFormat.QRCode)
    made = Image.fromarray(zxingcpp.write_barcode_to_image(barcode, scale=8)).convert("RGB")
    target = io.BytesIO()
    made.save(target, "JPEG")
    (camera_folder / "a.jpg").write_bytes(target.getvalue())
    device.camera.close()  # the preview of a moment ago is still shown otherwise
    assert page.post("/scan").json() == {"code": "P-4711"}


@pytest.mark.parametrize("kind", ["QRCode", "DataMatrix", "Code128"])
def test_every_usual_kind_of_code_is_read(kind: str) -> None:
    barcode = zxingcpp.create_barcode("P-4711", getattr(zxingcpp.BarcodeFormat, kind))
    made = Image.fromarray(zxingcpp.write_barcode_to_image(barcode, scale=8)).convert("RGB")
    target = io.BytesIO()
    ImageOps.expand(made, 60, "white").save(target, "JPEG")
    assert read_code(target.getvalue()) == "P-4711"


def test_a_code_that_does_not_fit_says_so(page: httpx.Client, device: Device, camera_folder: Path) -> None:
    barcode = zxingcpp.create_barcode("Jane Doe", zxingcpp.BarcodeFormat.QRCode)
    made = Image.fromarray(zxingcpp.write_barcode_to_image(barcode, scale=8)).convert("RGB")
    made.save(camera_folder / "a.jpg")
    device.camera.close()
    found = page.post("/scan").json()
    assert found["code"] is None
    assert found["refused"].startswith("JANE DOE is not an examination code. One looks like")


@pytest.mark.parametrize("number", ["\N{SUPERSCRIPT TWO}", "-1", "0", "999999", "x", "1" * 30])
def test_any_page_number_is_a_page(page: httpx.Client, number: str) -> None:
    assert page.get("/history", params={"page": number}).status_code == 200


@pytest.mark.parametrize(
    ("share", "english", "german"),
    [
        (0.0, "0.0", "0,0"),
        (0.0001, "< 0.1", "< 0,1"),
        (0.0104, "1.0", "1,0"),
        (0.0994, "9.9", "9,9"),
        (0.0996, "10", "10"),
        (0.42, "42", "42"),
        (0.9949, "99", "99"),
        (0.999, "> 99", "> 99"),
        (1.0, "100", "100"),
    ],
)
def test_only_certainty_reads_as_none_or_all(share: float, english: str, german: str) -> None:
    assert views.percent(share, ".") == f"{english}\u00a0%"
    assert views.percent(share, ",") == f"{german}\u00a0%"


def test_german_has_its_decimal_comma(page: httpx.Client, model_server: ModelServer) -> None:
    model_server.reply = lambda _jpeg, _context: answer(0.01, limits=(0.025, 0.5))
    page.post("/settings", data={"language": "de"})
    shown = press(page).text
    assert "1,0\u00a0%" in shown
    assert "Prüfen ab 2,5\u00a0%, überweisen ab 50\u00a0%" in shown
    assert "1,0\u00a0%" in page.get("/history").text


@pytest.mark.parametrize(
    ("zone", "shown"), [("UTC", "2026-11-21 22:26 UTC"), ("Europe/Berlin", "2026-11-21 23:26")]
)
def test_times_are_local_or_say_that_they_are_not(
    zone: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert views.clock(1_795_300_000.0) == shown
    finally:
        monkeypatch.undo()
        time.tzset()


def test_many_viewers_of_a_camera_that_hangs_leave_the_other_pages_alone(
    start: Start, page_of: Callable[[Device], httpx.Client], camera_folder: Path
) -> None:
    device = start(camera={"deadline_s": 60.0})
    page = page_of(device)
    (camera_folder / "a.jpg").unlink()
    os.mkfifo(camera_folder / "a.jpg")  # whoever opens it waits
    try:
        with futures.ThreadPoolExecutor(45) as pool:
            url = str(page.base_url)
            waiting = [pool.submit(httpx.get, f"{url}/preview.jpg", timeout=120) for _ in range(45)]
            assert page.get("/history").status_code == 200
            assert not all(one.done() for one in waiting)
            release(camera_folder / "a.jpg")
            assert {one.result().status_code for one in waiting} == {503}
    finally:
        release(camera_folder / "a.jpg")


def release(pipe: Path) -> None:
    """Let those go who wait for the other end of a pipe."""
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


def test_a_camera_that_hangs_is_named(
    start: Start, page_of: Callable[[Device], httpx.Client], camera_folder: Path
) -> None:
    device = start(camera={"deadline_s": 0.3})
    page = page_of(device)
    (camera_folder / "a.jpg").unlink()
    os.mkfifo(camera_folder / "a.jpg")
    assert page.get("/preview.jpg").status_code == 503
    assert device.notices.has("camera_hung")
    assert page.get("/healthz").json() == {"ok": False, "stalled": "camera"}
    assert "The camera hangs" in page.get("/notices").text
    release(camera_folder / "a.jpg")


def test_unknown_addresses_are_answered_plainly(page: httpx.Client) -> None:
    assert page.get(f"/examinations/{new_id()}").status_code == 404
    assert page.get("/examinations/../../etc/passwd").status_code == 404
    assert page.get("/static/../app.py").status_code == 404
    for address in ("/nowhere", f"/examinations/{new_id()}", "/static/none.css"):
        shown = page.get(address)
        assert 'href="/"' in shown.text
        assert 'data-return-s="20"' in shown.text
    assert page.get("/nowhere", headers={"accept": "application/json"}).json()["error"]
    assert page.put("/history").status_code == 405
    wrong = page.post("/examinations", data={"press": "../x"}, headers={"accept": "application/json"})
    assert wrong.status_code == 400


def test_a_refused_picture_offers_to_ask_again(page: httpx.Client, device: Device) -> None:
    press(page)
    (one,) = device.queue.page(1)
    with device.queue._transaction():
        device.queue._db.execute("UPDATE examinations SET state = 'refused'")
    shown = page.get(f"/examinations/{one.id}").text
    assert "Ask again" in shown
    page.post(f"/examinations/{one.id}/again")
    with device.queue.changed:
        assert device.queue.changed.wait_for(lambda: device.queue.counts()["answered"] == 1, timeout=120)


def test_strict_headers_everywhere(page: httpx.Client) -> None:
    for path in ("/", "/history", "/static/kiosk.css", "/healthz", "/nowhere"):
        headers = page.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_templates_keep_to_the_policy() -> None:
    for template in (KIOSK / "templates").glob("*.html"):
        text = template.read_text()
        assert not re.search(r"\sstyle=|\son\w+=|javascript:|https?://", text), template.name
        assert "<script>" not in text
    for asset in (KIOSK / "static").glob("*.[cj]ss"):
        assert "http" not in asset.read_text().replace("http://www.w3.org", "")


def test_foreign_hosts_and_origins_are_refused(page: httpx.Client, device: Device) -> None:
    assert page.get("/", headers={"host": "evil.example"}).status_code == 403
    data = {"press": new_id(), "code": ""}
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert page.post("/examinations", data=data, headers=headers).status_code == 403
    assert device.queue.counts()["total"] == 0
    assert page.post("/examinations", data=data, headers={"origin": str(page.base_url)}).status_code == 200


def test_codes_are_escaped(page: httpx.Client) -> None:
    assert "<script>alert" not in page.get("/?code=<script>alert(1)</script>").text


def test_the_health_check_names_a_stalled_loop(
    page: httpx.Client, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert page.get("/healthz").json() == {"ok": True, "stalled": ""}
    stuck, free = threading.Event(), threading.Event()

    def hang() -> None:
        stuck.set()
        free.wait(120)

    monkeypatch.setattr(device.sender, "turn", hang)
    device.sender.wake()
    assert stuck.wait(120)
    device.sender.beat -= 1e6  # each turn renews it
    found = page.get("/healthz")
    free.set()
    assert (found.status_code, found.json()["stalled"]) == (503, "sender")


def used_keys() -> set[str]:
    found = set()
    for source in [*(KIOSK / "templates").glob("*.html"), *KIOSK.glob("*.py")]:
        found |= set(re.findall(r'(?:self\._t|(?<![\w.])t)\("([a-z_.]+)"[,)]', source.read_text()))
    return found


def test_both_languages_say_everything() -> None:
    english, german = views.texts("en"), views.texts("de")
    assert english.keys() == german.keys()
    for key in english:
        assert set(re.findall(r"{\w+}", english[key])) == set(re.findall(r"{\w+}", german[key])), key
        assert english[key].strip()
        assert german[key].strip()
    assert used_keys() <= english.keys()
    for kind in NOTICE_KINDS:
        for part in ("title", "text", "way_back"):
            assert f"{kind}.{part}" in english
    for zone in ("low", "review", "refer"):
        assert f"zone.{zone}" in english
        assert f"zone.{zone}_help" in english


def test_the_disclaimer_stands_in_both_languages() -> None:
    assert "not a diagnosis" in views.texts("en")["app.disclaimer"]
    assert "keine Diagnose" in views.texts("de")["app.disclaimer"]
