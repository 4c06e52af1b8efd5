"""The server's log, drift, outcomes, retention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from dashboard import clock
from dashboard.database.tables import Cursor, Prediction
from dashboard.field.drift import drift
from dashboard.field.features import COUNTED, ImageFacts, image_facts
from dashboard.field.retention import Retention
from dashboard.field.tail import LogTail, answer_of
from dashboard.sample import picture as draw

# Of today: the retention's own thread deletes what is a year old.
NOW = clock.stamp(clock.now())


def line(number: int, **change: Any) -> str:
    record = {
        "schema": "melanosizer.prediction_record/1", "time": NOW, "request_id": f"log-{number}",
        "row": 0, "rows": 1, "model": "melanoma", "model_version": "1795304921", "signature": "serving_default",
        "latency_ms": 12.5, "caller": "10.0.0.9", "entrypoint": "GRPC", "probability": 0.4, "decision": 1,
        "threshold": 0.18, "zone": "refer", "out_of_distribution": 0.0, "outputs": {},
        "image": {
            "sha256": "b" * 64, "bytes": 9, "format": "jpeg", "width": 4, "height": 5,
            "channel_mean": [180, 120, 90], "channel_std": [30, 30, 30],
        },
    }  # fmt: skip
    return json.dumps(record | change) + "\n"


def test_the_line_of_the_contract_is_understood() -> None:
    import jsonschema

    schema = json.loads((Path(__file__).parents[2] / "schemas" / "prediction_record.schema.json").read_text())
    jsonschema.validate(json.loads(line(1)), schema)
    found = answer_of(line(1).encode(), "melanoma")
    assert found is not None
    assert (found.version, found.zone, found.brightness) == ("1795304921", "refer", 130.0)
    assert found.redness == pytest.approx(180 / 390, abs=1e-4)


@pytest.mark.parametrize(
    "bad",
    [b"", b"{", b"[]", b"null", line(1, model="other").encode(), line(1, probability=7).encode(), line(1, zone="x").encode(), line(1, time="soon").encode()],
)  # fmt: skip
def test_lines_that_are_no_record_are_left_out(bad: bytes) -> None:
    assert answer_of(bad, "melanoma") is None


def test_the_log_is_followed_through_a_rotation_and_a_restart(build: Any, workspace: Path) -> None:
    services = build().services
    path = workspace / "predictions" / "predictions.jsonl"
    path.parent.mkdir()

    def take() -> int:
        LogTail(services.database, services.recorder, path, "melanoma", 60, services.tail.pictures).turn()
        with services.database.read() as session:
            return session.scalar(select(func.count()).where(Prediction.request_id.like("log-%"))) or 0

    services.tail.stop()
    path.write_text(line(1) + "no record\n" + line(2) + line(3)[:40])
    assert take() == 2
    with path.open("a") as stream:
        stream.write(line(3)[40:] + line(4))
    path.rename(path.with_suffix(".jsonl.1"))
    path.write_text(line(5))
    assert take() == 5
    assert take() == 5
    path.write_text("")  # cut by hand
    assert take() == 5
    path.write_text(line(6))
    assert take() == 6
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Cursor)) == 1


def test_the_same_picture_twice_is_no_drift_and_a_darker_camera_is(dash: Any) -> None:
    services = dash.services
    version = services.registry.all()[0]
    with services.database.read() as session:
        found = {
            row.feature: row
            for row in drift(
                session,
                services.evidence,
                name=version.version,
                version=version,
                since=0,
            )
        }
    assert found["brightness"].verdict == "shifted"
    assert sum(found["probability"].reference) == 400


def test_every_value_has_a_bin() -> None:
    for feature in COUNTED.values():
        assert feature.bin(-1e9) == 0
        assert feature.bin(1e9) == feature.bins - 1
        assert len({feature.label(i) for i in range(feature.bins)}) == feature.bins
        assert list(feature.edges) == sorted(set(feature.edges))


def test_a_blurred_picture_is_less_sharp_and_a_dark_one_less_bright() -> None:
    import io

    from PIL import Image, ImageFilter

    def facts(image: Image.Image) -> ImageFacts:
        target = io.BytesIO()
        image.save(target, "PNG")
        return image_facts(target.getvalue(), max_bytes=1 << 24, max_pixels=1 << 24)

    image = Image.open(io.BytesIO(draw(1, side=200))).convert("RGB")
    plain, blurred = facts(image), facts(image.filter(ImageFilter.GaussianBlur(4)))
    dark = facts(image.point(lambda value: value // 2))
    assert blurred.sharpness < plain.sharpness / 2
    assert dark.brightness == pytest.approx(plain.brightness / 2, abs=1)
    assert dark.redness == pytest.approx(plain.redness, abs=0.01)


def test_what_is_too_old_goes_and_the_rest_stays(filled: Any) -> None:
    services = filled.services
    retention = Retention(services.database, 15)
    edge = clock.now() - 15 * clock.DAY
    with services.database.read() as session:
        kept = session.scalar(select(func.count()).where(Prediction.at >= edge))
    assert retention.delete(edge) > 100
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == kept > 100


def examined(running: Any, number: int, code: str, **change: Any) -> str:
    """A settled examination of a device, with its answer; its id."""
    device = change.pop("device", "pi-003")
    name = f"00000000-0000-4000-8000-{number:012d}"
    body = {
        "schema": 1, "id": name, "device_id": device, "number": number, "code": code,
        "captured_at": NOW, "clock_trusted": True,
        "image": {"sha256": f"{number:064x}", "width": 640, "height": 480}, "quality": None, "state": "answered",
        "answer": {
            "probability": 0.4, "decision": 1, "threshold": 0.18, "zone": "refer", "out_of_distribution": 0.0,
            "model_version": "1795304921", "origin": "server",
        },
        "answered_at": NOW, "trouble": None,
    } | change  # fmt: skip
    token = running.token("report", device=device)
    answer = running.client.put(f"/api/v1/examinations/{name}", json=body, headers=token)
    assert answer.status_code == 201, answer.text
    return name


def test_an_outcome_finds_its_examination_by_the_code_and_number_of_the_screen(filled: Any) -> None:
    reviewer = filled.signed_in("reviewer", "mira")
    examined(filled, 901, "P-123456")
    examined(filled, 902, "P-123456", quality={"advice": ["too_dark", "blurred"]})
    low = {"probability": 0.01, "decision": 0, "zone": "low"}
    whole = {"threshold": 0.18, "out_of_distribution": 0.0, "model_version": "1795304921", "origin": "server"}
    examined(filled, 903, "P-777777", device="pi-004", answer=low | whole)
    both = reviewer.json("/field/review?code=p-123456")
    assert [one["examination"]["number"] for one in both["answers"]] == [901, 902]
    (one,) = reviewer.json("/field/review?code=P-123456&number=902")["answers"]
    assert one["examination"]["advice"] == ["too_dark", "blurred"]
    page = reviewer.get("/field/review?number=902").text
    assert "sent anyway" in page
    assert "too dark, blurred" in page
    # Whatever its zone, for somebody who asks for it by name.
    (cleared,) = reviewer.json("/field/review?code=P-777777")["answers"]
    assert cleared["answer"]["zone"] == "low"
    number = one["answer"]["id"]
    form = {"outcome": "melanoma", "seen": "0", "back": "/field/review?code=P-123456"}
    answer = reviewer.post(f"/field/predictions/{number}/outcome", form)
    assert answer.headers["location"] == "/field/review?code=P-123456"
    assert [o["examination"]["number"] for o in reviewer.json("/field/review?code=P-123456")["answers"]] == [
        901
    ]
    assert reviewer.json("/field/review?code=P-123456&outcome=any")["total"] == 2
    assert reviewer.json(f"/field/predictions/{number}")["examination"]["code"] == "P-123456"


def test_the_queue_is_filtered_paged_and_skipped(filled: Any) -> None:
    reviewer = filled.signed_in("reviewer")
    first = reviewer.json("/field/review")
    assert (len(first["answers"]), first["page"]) == (20, 1)
    seen = [one["answer"]["id"] for one in first["answers"]]
    second = reviewer.json("/field/review?page=2")
    assert not {one["answer"]["id"] for one in second["answers"]} & set(seen)
    walked = [
        one["answer"] for number in range(1, first["pages"] + 1)
        for one in reviewer.json(f"/field/review?page={number}")["answers"]
    ]  # fmt: skip
    assert len({one["id"] for one in walked}) == len(walked) == first["total"]
    keys = [(one["zone"] != "refer", one["at"]) for one in walked]
    assert keys == sorted(keys)
    skipped = reviewer.json(f"/field/review?skip={seen[0]},{seen[1]}")
    assert skipped["answers"][0]["answer"]["id"] == seen[2]
    assert skipped["total"] == first["total"] - 2
    device = next(one["device_id"] for one in walked if one["device_id"])
    assert {o["answer"]["device_id"] for o in reviewer.json(f"/field/review?device={device}")["answers"]} == {
        device
    }
    day = walked[0]["at"] // clock.DAY * clock.DAY
    stamp = clock.stamp(day)[:10]
    found = reviewer.json(f"/field/review?since={stamp}&until={stamp}")["answers"]
    assert {one["answer"]["at"] // clock.DAY for one in found} == {day // clock.DAY}


def test_an_outcome_is_corrected_and_withdrawn_and_never_over_somebody_elses(filled: Any) -> None:
    mira, jo = filled.signed_in("reviewer", "mira"), filled.signed_in("reviewer", "jo")
    number = mira.json("/field/review")["answers"][0]["answer"]["id"]
    path = f"/field/predictions/{number}"
    assert mira.post(f"{path}/outcome", {"outcome": "benign", "seen": "0"}).status_code == 303
    late = jo.post(f"{path}/outcome", {"outcome": "melanoma", "seen": "0"})
    assert late.status_code == 409
    assert "mira has entered benign by histology" in late.json()["error"]
    assert jo.json(path)["answer"]["outcome"] == "benign"
    fixed = {"outcome": "melanoma", "seen": str(jo.json(path)["seen"]), "comment": "second opinion"}
    assert jo.post(f"{path}/outcome", fixed).status_code == 303
    assert (
        jo.post(f"{path}/outcome", {"outcome": "withdrawn", "seen": str(jo.json(path)["seen"])}).status_code
        == 303
    )
    page = jo.json(path)
    assert page["answer"]["outcome"] is None
    assert [(one["who"], one["outcome"]) for one in page["reviews"]] == [
        ("jo", "withdrawn"), ("jo", "melanoma"), ("mira", "benign"),
    ]  # fmt: skip
    assert jo.post(f"{path}/outcome", {"outcome": "withdrawn"}).status_code == 409


def test_the_picture_is_shown_where_the_server_kept_it(dash: Any, workspace: Path, picture: bytes) -> None:
    import base64

    services = dash.services
    services.tail.stop()
    path = workspace / "predictions" / "predictions.jsonl"
    path.parent.mkdir(exist_ok=True)
    image = {"sha256": "c" * 64, "bytes": 9, "format": "jpeg", "data": base64.b64encode(picture).decode()}
    path.write_text(line(1, image=image) + line(2, image=image | {"sha256": "d" * 64, "data": "no picture"}))
    LogTail(services.database, services.recorder, path, "melanoma", 60, services.tail.pictures).turn()
    viewer = dash.signed_in("viewer")
    with services.database.read() as session:
        kept, left = (
            session.scalar(select(Prediction.id).where(Prediction.request_id == f"log-{number}"))
            for number in (1, 2)
        )
    answer = viewer.client.get(f"/field/predictions/{kept}/picture")
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert viewer.json(f"/field/predictions/{kept}")["picture"] is True
    assert viewer.client.get(f"/field/predictions/{left}/picture").status_code == 404
