"""The gateway: predictions, heartbeats, examinations, sign-on."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import func, select

from dashboard import clock
from dashboard.database.tables import Device, Prediction
from dashboard.field.recorder import QueueFullError
from tests.dashboard.rig import mark


def send(running: Any, headers: dict[str, str], *images: bytes, **form: Any) -> Any:
    files = [("image", (f"lesion-{i}.jpg", image, "image/jpeg")) for i, image in enumerate(images)]
    return running.client.post("/api/v1/predict", headers=headers, files=files, data=form)


def count(running: Any, *wanted: Any) -> int:
    with running.services.database.read() as session:
        return session.scalar(select(func.count()).select_from(Prediction).where(*wanted)) or 0


@pytest.fixture
def gateway(double: Any, build: Any) -> Any:
    """An application beside the double of the model server."""
    del double
    return build()


def test_many_images_get_an_answer_each_and_a_record_each(gateway: Any, double: Any, picture: bytes) -> None:
    device = gateway.token("predict", device="pi-003")
    other = picture + b"\0" * 30  # the same picture, other bytes
    answer = send(gateway, device | {"x-request-id": "exam-1"}, picture, other)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["request_id"] == answer.headers["x-request-id"] == "exam-1"
    assert [one["file_name"] for one in body["predictions"]] == ["lesion-0.jpg", "lesion-1.jpg"]
    first = body["predictions"][0]
    assert first["probability"] == pytest.approx(0.02 + (len(picture) % 97) / 100)
    assert first["model_version"] == str(double.version())
    assert first["zone"] in ("low", "review", "refer")
    assert double.asked[-1][1]["x-request-id"] == "exam-1"
    assert double.asked[-1][1]["x-device-id"] == "pi-003"
    with gateway.services.database.read() as session:
        rows = session.scalars(
            select(Prediction).where(Prediction.request_id == "exam-1").order_by(Prediction.row)
        ).all()
    assert [row.row for row in rows] == [0, 1]
    assert rows[0].device_id == "pi-003"
    assert rows[0].sha256 == first["sha256"]
    assert 100 < rows[0].brightness < 220
    assert rows[0].sharpness > 0


def test_the_same_request_again_is_counted_once(gateway: Any, picture: bytes) -> None:
    token = gateway.token("predict")
    for _ in range(3):
        assert send(gateway, token | {"x-request-id": "again"}, picture).status_code == 200
    assert count(gateway, Prediction.request_id == "again") == 1


def test_a_heat_map_comes_where_the_model_can_say(gateway: Any, picture: bytes) -> None:
    body = send(gateway, gateway.token("predict"), picture, heat_map="true").json()
    head, _, data = body["predictions"][0]["heat_map"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(data).startswith(b"\xff\xd8\xff")
    assert send(gateway, gateway.token("predict"), picture).json()["predictions"][0]["heat_map"] is None


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504),
        (grpc.StatusCode.INVALID_ARGUMENT, 422),
        (grpc.StatusCode.NOT_FOUND, 502),
    ],
)
def test_a_server_in_trouble_is_named(
    gateway: Any, double: Any, picture: bytes, trouble: Any, status: int
) -> None:
    before = count(gateway)
    double.trouble = trouble
    answer = send(gateway, gateway.token("predict"), picture)
    assert answer.status_code == status
    assert trouble.name in answer.json()["error"]
    assert count(gateway) == before
    assert gateway.signed_in("viewer").json("/field?last=1d")["failures"] == 1


def test_an_answer_that_makes_no_sense_is_not_passed_on(gateway: Any, double: Any, picture: bytes) -> None:
    double.garbage = True
    answer = send(gateway, gateway.token("predict"), picture)
    assert answer.status_code == 502
    assert "probability is 7.0, not between 0 and 1" in answer.json()["error"]


def test_scopes_hold(gateway: Any, picture: bytes) -> None:
    assert send(gateway, gateway.token("report", device="pi-003"), picture).status_code == 403
    assert send(gateway, {}, picture).status_code == 401


def test_a_person_may_ask_from_a_page_of_ours_only(gateway: Any, picture: bytes) -> None:
    viewer = gateway.signed_in("viewer")
    files = {"image": ("a.jpg", picture, "image/jpeg")}
    assert viewer.client.post("/api/v1/predict", files=files).status_code == 403
    csrf = mark(viewer.get("/account").text)
    assert (
        viewer.client.post("/api/v1/predict", files=files, headers={"x-csrf-token": csrf}).status_code == 200
    )


def heartbeat(**change: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "device_id": "pi-900",
        "sent_at": clock.stamp(clock.now()),
        "clock_trusted": True,
        "uptime_s": 60.0,
        "versions": {"software": "0.1.0", "model": "1795304921", "on_device_model": ""},
        "queue": {"waiting": 3, "answered": 9, "refused": 1, "damaged": 0, "unreported": 2, "total": 13},
        "notices": [{"kind": "server_unreachable", "detail": "refused", "since": "2026-11-21T10:00:00.000Z"}],
        "last_error": None,
        "temperature_c": 61.5,
        "memory_bytes": 1,
        "disk": {"free_bytes": 1, "kept_bytes": 1},
        "camera": "picamera",
        "patient_name": "must never be kept",
    } | change


def examination(**change: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "id": "5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55",
        "device_id": "pi-900",
        "number": 4,
        "code": "K7",
        "captured_at": clock.stamp(clock.now()),
        "clock_trusted": True,
        "image": {"sha256": "a" * 64, "width": 640, "height": 480},
        "quality": {
            "focus": 3.2, "luminance": 120.0, "glare": 0.01, "lesion_share": 0.3, "lesion_contrast": None,
            "advice": ["too_dark"],
        },
        "state": "answered",
        "answer": {
            "probability": 0.3, "decision": 1, "threshold": 0.18, "zone": "refer", "out_of_distribution": 0.0,
            "model_version": "1795304921", "origin": "server",
        },
        "answered_at": clock.stamp(clock.now()),
        "trouble": "",
    } | change  # fmt: skip


def test_what_these_tests_send_has_the_form_of_the_contracts() -> None:
    import jsonschema

    schemas = Path(__file__).parents[2] / "schemas"
    beat = {key: value for key, value in heartbeat().items() if key != "patient_name"}
    for name, body in (("heartbeat", beat), ("examination", examination())):
        jsonschema.validate(body, json.loads((schemas / f"{name}.schema.json").read_text()))


def test_heartbeats_are_taken_once_and_the_newest_counts(gateway: Any) -> None:
    token = gateway.token("report", device="pi-900")
    path = "/api/v1/devices/pi-900/heartbeat"
    now = heartbeat()
    assert gateway.client.post(path, json=now, headers=token).json() == {"status": "new"}
    assert gateway.client.post(path, json=now, headers=token).json() == {"status": "known"}
    older = heartbeat(sent_at=clock.stamp(clock.now() - clock.HOUR), temperature_c=20.0)
    assert gateway.client.post(path, json=older, headers=token).json() == {"status": "new"}
    page = gateway.signed_in("viewer").json("/devices/pi-900")
    assert page["device"]["state"] == "troubled"
    assert (page["device"]["queue_depth"], page["device"]["temperature"]) == (3, 61.5)
    assert "patient_name" not in page["heartbeat"]


def test_a_clock_that_is_not_trusted_is_not_believed(gateway: Any) -> None:
    token = gateway.token("report", device="pi-900")
    body = heartbeat(clock_trusted=False, sent_at="1971-01-01T00:00:00Z")
    gateway.client.post("/api/v1/devices/pi-900/heartbeat", json=body, headers=token)
    with gateway.services.database.read() as session:
        assert abs(session.get_one(Device, "pi-900").last_seen - clock.now()) < clock.HOUR


def test_an_examination_is_taken_once_and_claims_its_answer(gateway: Any, picture: bytes) -> None:
    send(gateway, gateway.token("predict"), picture)
    asked = send(
        gateway, gateway.token("predict") | {"x-request-id": "5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55"}, picture
    )
    assert asked.status_code == 200
    token = gateway.token("report", device="pi-900")
    path = "/api/v1/examinations/5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55"
    body = examination()
    first = gateway.client.put(path, json=body, headers=token)
    assert (first.status_code, first.json()) == (201, {"status": "new"})
    assert gateway.client.put(path, json=body, headers=token).status_code == 200
    assert gateway.client.put(path, json=examination(state="damaged"), headers=token).status_code == 409
    assert count(gateway, Prediction.device_id == "pi-900") == 1
    assert gateway.signed_in("viewer").json("/devices/pi-900")["device"]["answered"] == 1


def test_an_examination_whose_answer_nobody_logged_makes_its_record(gateway: Any) -> None:
    token = gateway.token("report", device="pi-900")
    gateway.client.put(
        "/api/v1/examinations/5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55", json=examination(), headers=token
    )
    assert (
        count(
            gateway,
            Prediction.request_id == "5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55",
            Prediction.origin == "device",
        )
        == 1
    )


def test_an_answer_that_did_not_come_to_disk_is_taken_when_the_device_tries_again(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = gateway.token("report", device="pi-900")
    path = "/api/v1/examinations/5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55"

    def full(answers: Any) -> Any:
        raise QueueFullError(f"{len(answers)} answers too many")

    body = examination()
    with monkeypatch.context() as broken:
        broken.setattr(gateway.services.recorder, "put", full)
        refused = gateway.client.put(path, json=body, headers=token)
    assert refused.status_code == 503
    assert "not on disk yet" in refused.json()["error"]
    mine = Prediction.request_id == "5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55"
    assert count(gateway, mine) == 0
    for _ in range(2):
        assert gateway.client.put(path, json=body, headers=token).json() == {"status": "known"}
        assert count(gateway, mine) == 1


def test_an_answer_after_asking_again_replaces_a_refusal(gateway: Any) -> None:
    token = gateway.token("report", device="pi-900")
    path = "/api/v1/examinations/5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55"
    refused = examination(state="refused", answer=None)
    assert gateway.client.put(path, json=refused, headers=token).status_code == 201
    assert gateway.client.put(path, json=examination(), headers=token).json() == {"status": "known"}
    assert count(gateway, Prediction.request_id == "5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55") == 1
    assert gateway.client.put(path, json=refused, headers=token).status_code == 409


def test_an_examination_of_a_wrong_clock_is_dated_by_ours(gateway: Any) -> None:
    token = gateway.token("report", device="pi-900")
    path = "/api/v1/examinations/5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55"
    body = examination(clock_trusted=False, captured_at="1971-01-01T00:00:00Z")
    assert gateway.client.put(path, json=body, headers=token).status_code == 201
    assert count(gateway, Prediction.at > clock.now() - clock.HOUR) == 1


def test_a_device_reports_for_itself_only(gateway: Any) -> None:
    token = gateway.token("report", device="pi-003")
    assert (
        gateway.client.post("/api/v1/devices/pi-900/heartbeat", json=heartbeat(), headers=token).status_code
        == 403
    )
    assert (
        gateway.client.put(
            "/api/v1/examinations/5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55", json=examination(), headers=token
        ).status_code
        == 403
    )
    other = examination(id="other")
    mine = gateway.token("report", device="pi-900")
    assert (
        gateway.client.put(
            "/api/v1/examinations/5a0c1f3e-8d1b-4a77-9d3a-0c6f1b2e4d55", json=other, headers=mine
        ).status_code
        == 422
    )


def test_a_device_signs_on_once_with_its_code(gateway: Any) -> None:
    admin = gateway.signed_in("admin")
    code = admin.post(
        "/devices/enrol", {"device_id": "pi-901"}, headers={"accept": "application/json"}
    ).json()["value"]
    wrong = gateway.client.post("/api/v1/devices/enroll", json={"device_id": "pi-902", "code": code})
    assert wrong.status_code == 403
    body = {"device_id": "pi-901", "code": code.lower(), "certificate_request": "PEM", "software": "0.1.0"}
    token = gateway.client.post("/api/v1/devices/enroll", json=body).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    beat = heartbeat(device_id="pi-901")
    assert (
        gateway.client.post("/api/v1/devices/pi-901/heartbeat", json=beat, headers=headers).status_code == 200
    )
    assert gateway.client.post("/api/v1/devices/enroll", json=body).status_code == 403
    again = admin.post(
        "/devices/enrol", {"device_id": "pi-901"}, headers={"accept": "application/json"}
    ).json()["value"]
    gateway.client.post("/api/v1/devices/enroll", json=body | {"code": again})
    assert (
        gateway.client.post("/api/v1/devices/pi-901/heartbeat", json=beat, headers=headers).status_code == 401
    )


def test_the_devices_own_records_are_understood(gateway: Any) -> None:
    records = pytest.importorskip("edge.reporting.records")
    body = records.heartbeat(
        "pi-900",
        camera="folder",
        disk=records.Disk(free_bytes=6, kept_bytes=7),
        queue={"waiting": 1},
        uptime_s=5.0,
        versions={"model": "1"},
    )
    token = gateway.token("report", device="pi-900")
    assert (
        gateway.client.post("/api/v1/devices/pi-900/heartbeat", json=body, headers=token).status_code == 200
    )
