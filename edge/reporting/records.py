"""What the fleet's gateway is told: JSON documents of `schemas/examination.schema.json` and `heartbeat`."""

from __future__ import annotations

import datetime
from typing import Any

from edge import __version__
from edge.answer import Answer
from edge.notices import Notice
from edge.queue.examination import Examination

SCHEMA = 1


def examination_record(examination: Examination, device_id: str) -> dict[str, Any]:
    """One settled examination; the picture is named by its SHA-256 and stays with the model server's log."""
    return {
        "schema": SCHEMA,
        "id": examination.id,
        "device_id": device_id,
        "number": examination.number,
        "code": examination.code,
        "captured_at": stamp(examination.captured_at),
        "clock_trusted": examination.clock_trusted,
        "image": {"sha256": examination.sha256, "width": examination.width, "height": examination.height},
        "quality": examination.quality,
        "state": examination.state,
        "answer": _answer(examination.answer) if examination.answer else None,
        "answered_at": stamp(examination.answered_at) if examination.answered_at else None,
        "trouble": examination.trouble,
    }


def heartbeat(
    *,
    device_id: str,
    now: float,
    started: float,
    model_version: str,
    on_device_version: str,
    queue: dict[str, int],
    notices: list[Notice],
    last_error: Notice | None,
    temperature_c: float | None,
    memory_bytes: int,
    disk_free_bytes: int,
    disk_kept_bytes: int,
    camera: str,
    clock_trusted: bool,
) -> dict[str, Any]:
    """One sign of life."""
    return {
        "schema": SCHEMA,
        "device_id": device_id,
        "sent_at": stamp(now),
        "clock_trusted": clock_trusted,
        "uptime_s": round(now - started, 1),
        "versions": {"software": __version__, "model": model_version, "on_device_model": on_device_version},
        "queue": queue,
        "notices": [_notice(notice) for notice in notices],
        "last_error": _notice(last_error) if last_error else None,
        "temperature_c": temperature_c,
        "memory_bytes": memory_bytes,
        "disk": {"free_bytes": disk_free_bytes, "kept_bytes": disk_kept_bytes},
        "camera": camera,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    """Return what the record holds of an answer; the zones' limits are the model version's, not the answer's."""
    limits = ("low_below", "refer_from")
    return {name: value for name, value in answer.as_dict().items() if name not in limits}


def stamp(moment: float) -> str:
    """Unix seconds as RFC 3339 in UTC with milliseconds."""
    when = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _notice(notice: Notice) -> dict[str, Any]:
    return {"kind": notice.kind, "detail": notice.detail[:500], "since": stamp(notice.since)}
