"""Every failure has a message on the screen and a way back."""

from __future__ import annotations

import datetime
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.protos import prediction_service_pb2 as serving
from edge.asking import sender as sender_module
from edge.device import Device
from edge.kiosk.views import texts
from edge.queue import pictures as pictures_module
from edge.queue.examination import new_id
from edge.reporting import clock
from tests.support.edge_doubles import ModelServer, answer

Start = Callable[..., Device]
PageOf = Callable[[Device], httpx.Client]


def press(page: httpx.Client) -> Any:
    return page.post("/examinations", data={"press": new_id(), "code": ""})


def shows(page: httpx.Client, kind: str) -> bool:
    """The notices page shows this notice whole, in both languages."""
    found = []
    for language in ("de", "en"):
        page.post("/settings", data={"language": language})
        html = page.get("/notices").text
        told = [texts(language)[f"{kind}.{part}"] for part in ("title", "text", "way_back")]
        found.append(all(text.replace("'", "&#39;") in html for text in told))
    return all(found)


def eventually(device: Device, done: Callable[[], bool]) -> None:
    with device.queue.changed:
        assert device.queue.changed.wait_for(done, timeout=120)


def test_a_full_disk(start: Start, page_of: PageOf, monkeypatch: pytest.MonkeyPatch) -> None:
    device = start()
    page = page_of(device)

    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures_module, "write_atomic", full)
    shown = press(page)
    assert shown.status_code == 503
    assert texts("en")["storage_full.title"] in shown.text
    monkeypatch.undo()
    assert shows(page, "storage_full")
    # The way back: a technician made room, the nurse tries again.
    assert page.post("/notices").url.path == "/"
    assert press(page).url.path.startswith("/examinations/")
    assert not device.notices.all()


def test_a_disk_that_fills_up_beside_us(
    start: Start, page_of: PageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = start()
    page = page_of(device)

    def full(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(device.queue, "remember", full)
    shown = page.post("/settings", data={"guide": "off"})
    assert shown.status_code == 503
    assert texts("en")["storage_full.title"] in shown.text
    # The workers go on: the clock's own note fails in the housekeeper, and nothing stops.
    device.clock._seen = 0.0
    device._housekeeper.wake()
    assert press(page).url.path.startswith("/examinations/")
    assert page.get("/healthz").json() == {"ok": True, "stalled": ""}


def test_a_wrong_clock(start: Start, page_of: PageOf, monkeypatch: pytest.MonkeyPatch) -> None:
    device = start()
    page = page_of(device)
    monkeypatch.setattr(clock, "WRITTEN", 4e9)
    shown = press(page)
    assert "clock was wrong" in shown.text
    assert shows(page, "clock_wrong")
    (one,) = device.queue.page(1)
    assert not one.clock_trusted
    # The way back: the network sets the clock.
    monkeypatch.undo()
    assert "clock was wrong" not in press(page).text
    while device.notices.has("clock_wrong"):  # the housekeeper may have looked at the clock a moment before
        threading.Event().wait(0.01)


def certificate(folder: Path, days: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ward-3")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(pem))
    (folder / "ca.pem").write_bytes(made.public_bytes(pem))


def test_an_expired_certificate(start: Start, page_of: PageOf, tmp_path: Path) -> None:
    certificate(tmp_path, days=-1)
    files = {"ca_file": "ca.pem", "certificate_file": "certificate.pem", "key_file": "key.pem"}
    section: dict[str, Any] = {name: tmp_path / file for name, file in files.items()}
    device = start(server={**section, "deadline_s": 1.0}, kiosk={"wait_s": 0.0})
    page = page_of(device)
    shown = press(page)
    assert "safe on this device" in shown.text
    eventually(device, lambda: device.notices.has("certificate_expired"))
    assert shows(page, "certificate_expired")
    assert "expired on" in page.get("/notices").text
    # The way back: `enroll` wrote a new one, and the running device takes it up by itself.
    certificate(tmp_path, days=30)
    page.post("/notices")
    eventually(device, lambda: not device.notices.has("certificate_expired"))


def test_a_corrupt_queue_file(start: Start, page_of: PageOf, tmp_path: Path) -> None:
    device = start()
    press(page_of(device))
    (one,) = device.queue.page(1)
    device.close()
    (tmp_path / "state" / "queue.sqlite3").write_bytes(os.urandom(20_000))
    for part in ("-wal", "-shm"):
        (tmp_path / "state" / f"queue.sqlite3{part}").unlink(missing_ok=True)
    again = start()
    page = page_of(again)
    assert shows(page, "queue_rebuilt")
    assert page.get(f"/examinations/{one.id}").status_code == 200
    eventually(again, lambda: again.queue.counts()["answered"] == 1)
    # The way back: the history was looked through.
    assert page.post("/notices").url.path == "/"
    assert not again.notices.all()


def test_a_camera_unplugged(start: Start, page_of: PageOf, camera_folder: Path) -> None:
    device = start()
    page = page_of(device)
    away = camera_folder.rename(camera_folder.with_name("away"))
    shown = press(page)
    assert shown.status_code == 503
    assert texts("en")["camera_lost.title"] in shown.text
    assert shows(page, "camera_lost")
    assert 'class="viewer lost"' in page.get("/").text
    # The way back: it is plugged in again.
    away.rename(camera_folder)
    # The device itself looks for it, every other second.
    while device.notices.has("camera_lost"):
        threading.Event().wait(0.01)
    assert press(page).url.path.startswith("/examinations/")
    assert not device.notices.all()


def test_a_server_that_answers_garbage(
    start: Start, page_of: PageOf, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It asks again when told to: by itself it would set the photograph aside at its third try.
    monkeypatch.setattr(sender_module, "FIRST_PAUSE_S", 600.0)
    model_server.reply = lambda _jpeg, _context: serving.PredictResponse()
    device = start(kiosk={"wait_s": 0.0}, server={"longest_pause_s": 600.0})
    page = page_of(device)
    shown = press(page)
    eventually(device, lambda: device.notices.has("server_garbage"))
    assert shows(page, "server_garbage")
    assert "%" not in page.get(shown.url.path).text.split("<main")[1]
    # The way back: the server was put right, and the answer replaces the message by itself.
    model_server.reply = lambda _jpeg, _context: answer(0.42)
    page.post("/notices")
    eventually(device, lambda: device.queue.counts()["answered"] == 1)
    assert "42\u00a0%" in page.get(shown.url.path).text
    assert not device.notices.all()


def test_a_damaged_picture_in_history(start: Start, page_of: PageOf, model_server: ModelServer) -> None:
    device = start()
    page = page_of(device)
    shown = press(page)
    (one,) = device.queue.page(1)
    device.queue.pictures.path(one.id).write_bytes(b"rot")
    assert page.get(f"/examinations/{one.id}/photo.jpg").status_code == 404
    assert page.get(shown.url.path).status_code == 200


def test_no_server(start: Start, page_of: PageOf, nobody: str) -> None:
    device = start(server={"addresses": [nobody]}, kiosk={"wait_s": 0.0})
    page = page_of(device)
    assert "Waiting for the server" in press(page).text
    eventually(device, lambda: device.notices.has("server_unreachable"))
    assert shows(page, "server_unreachable")
    assert device.indicator_state() == "waiting"
