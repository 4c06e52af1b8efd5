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


def line(number: int, **change: Any) -> str:
    record = {
        "schema": "melanosizer.prediction_record/1", "time": "2026-11-21T10:00:00.123Z", "request_id": f"log-{number}",
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
        LogTail(services.database, services.recorder, path, "melanoma", 60).turn()
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
                version=version.version,
                data_version=version.data_version,
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
