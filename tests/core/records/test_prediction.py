"""One record of an answered image, whoever wrote it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from core.records import schemas
from core.records.prediction import PredictedImage, parse, record_prediction

ANSWER = {"probability": 0.25, "decision": 1, "threshold": 0.2, "zone": "refer", "out_of_distribution": 0.1}


def fields(**changes: Any) -> dict[str, Any]:
    content = {
        "time": datetime(2026, 11, 28, 17, 45, 51, 250_999, tzinfo=UTC),
        "request_id": "r1",
        "row": 0,
        "rows": 1,
        "model": "melanoma",
        "model_version": "7",
        "signature": "serving_default",
        "latency_ms": 12.5,
        "caller": "10.0.0.1",
        "entrypoint": "GRPC",
    }
    return content | changes


def test_a_line_holds_to_the_schema_and_is_read_back() -> None:
    image = PredictedImage(sha256="a" * 64, bytes=5, width=3, height=4, channel_mean=(1, 2, 3))
    record = record_prediction({**ANSWER, "embedding": [1.0]}, **fields(image=image))
    document = json.loads(record.line())
    jsonschema.validate(document, schemas.schema("prediction_record"))
    assert document["time"] == "2026-11-28T17:45:51.250Z"
    assert document["outputs"] == {"embedding": [1.0]}
    assert document["probability"] == 0.25
    assert "data" not in document["image"]
    back = parse(record.line().encode())
    assert back is not None
    assert back.complete
    assert back.image == image


@pytest.mark.parametrize("origin", ["server", "gateway", "device"])
def test_the_fields_are_the_same_whoever_writes(origin: str) -> None:
    record = record_prediction(ANSWER, **fields(origin=origin, device_id="pi-1"))
    assert set(json.loads(record.line())) - {"device_id"} >= {
        *fields(),
        *ANSWER,
        "origin",
        "schema",
        "outputs",
    }


def test_a_number_that_is_not_finite_is_left_out() -> None:
    record = record_prediction(ANSWER | {"probability": math.nan}, **fields())
    assert record.probability is None
    assert not record.complete


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"schema": "melanosizer.prediction_record/2"}',
        b'{"probability": "high"}',
    ],
)
def test_a_damaged_line_is_none(line: bytes) -> None:
    assert parse(line) is None


def test_a_field_of_a_newer_writer_is_left_out() -> None:
    document = json.loads(record_prediction(ANSWER, **fields()).line()) | {"patient_name": "x"}
    found = parse(json.dumps(document))
    assert found is not None
    assert "patient_name" not in found.model_dump()
