"""What devices send: strict in the schema, patient when read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from core.records import schemas
from core.records.examination import Examination, ExaminationAnswer, ExaminedImage, Quality
from core.records.heartbeat import Heartbeat, Notice

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ID = "0d7f2a3e-1111-4222-8333-444455556666"


def examination(**changes: Any) -> Examination:
    answer = ExaminationAnswer(
        probability=0.1, decision=0, threshold=0.2, zone="low", out_of_distribution=0.0, model_version="7"
    )
    content: dict[str, Any] = {
        "id": ID,
        "device_id": "pi-1",
        "number": 1,
        "captured_at": NOW,
        "image": ExaminedImage(sha256="a" * 64, width=1, height=1),
        "quality": Quality(focus=1.0, luminance=100, glare=0, advice=("blurred",)),
        "state": "answered",
        "answer": answer,
        "answered_at": NOW,
        "trouble": "",
    }
    return Examination.model_validate(content | changes)


def document(record: Examination | Heartbeat) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.model_dump_json(by_alias=True))
    return found


def test_what_a_device_sends_holds_to_the_schemas() -> None:
    jsonschema.validate(document(examination()), schemas.schema("examination"))
    refused = examination(state="refused", answer=None, answered_at=None, trouble="not an image")
    jsonschema.validate(document(refused), schemas.schema("examination"))
    beat = Heartbeat(
        device_id="pi-1", sent_at=NOW, notices=(Notice(kind="camera_hung", detail="", since=NOW),)
    )
    jsonschema.validate(document(beat), schemas.schema("heartbeat"))


@pytest.mark.parametrize(
    "change",
    [{"state": "lost"}, {"state": "refused"}, {"number": 0}, {"id": "x"}, {"surplus": 1}, {"schema": 2}],
)
def test_the_schema_refuses_what_no_device_of_today_writes(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document(examination()) | change, schemas.schema("examination"))


def test_an_older_or_newer_device_is_read() -> None:
    beat = Heartbeat.model_validate({"device_id": "Pi_1", "sent_at": "2026-11-28T00:00:00Z", "battery": 3})
    assert beat.queue.waiting == 0
    assert not hasattr(beat, "battery")
    Notice.model_validate({"kind": "of_tomorrow", "detail": ""})
