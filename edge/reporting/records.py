"""What the fleet's gateway is told: the records of core/records, filled from the device's own objects."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from core.records import examination as records
from core.records.examination import ExaminationAnswer, ExaminedImage, Quality
from core.records.heartbeat import Disk, Heartbeat, Queue, Versions
from core.records.heartbeat import Notice as NoticeRecord
from core.records.times import of_seconds
from edge import __version__
from edge.notices import Notice
from edge.queue.examination import Examination
from edge.reporting import vitals


def examination_record(examination: Examination, device_id: str) -> dict[str, Any]:
    """Return one examination's JSON; the picture is named by its SHA-256 and stays with the server's log."""
    answer = examination.answer
    record = records.Examination(
        id=examination.id,
        device_id=device_id,
        number=examination.number,
        code=examination.code,
        captured_at=of_seconds(examination.captured_at),
        clock_trusted=examination.clock_trusted,
        image=ExaminedImage(sha256=examination.sha256, width=examination.width, height=examination.height),
        quality=Quality(**examination.quality),
        state=examination.state,
        answer=ExaminationAnswer(**asdict(answer)) if answer else None,
        answered_at=of_seconds(examination.answered_at) if examination.answered_at else None,
        trouble=examination.trouble[:1000],
    )
    return record.model_dump(mode="json", by_alias=True)


def heartbeat(
    device_id: str,
    *,
    camera: str,
    disk: Disk,
    queue: dict[str, int] | None = None,
    uptime_s: float = 0.0,
    now: float | None = None,
    versions: dict[str, str] | None = None,
    notices: list[Notice] | None = None,
    last_error: Notice | None = None,
    clock_trusted: bool = True,
) -> dict[str, Any]:
    """Return one sign of life's JSON; temperature and memory are this process's.

    Args:
        device_id: the device's name in the fleet.
        camera: the open camera's name.
        disk: room on the card.
        queue: examinations by state.
        uptime_s: seconds since the start.
        now: Unix seconds by the device's clock; by default the system's.
        versions: `model` that answered last, `on_device_model`.
        notices: what is wrong, most urgent first.
        last_error: the newest notice.
        clock_trusted: whether the clock can be believed.
    """
    record = Heartbeat(
        device_id=device_id,
        sent_at=of_seconds(time.time() if now is None else now),
        clock_trusted=clock_trusted,
        uptime_s=max(0.0, round(uptime_s, 1)),
        versions=Versions(software=__version__, **(versions or {})),
        queue=Queue(**(queue or {})),
        notices=tuple(_notice(notice) for notice in notices or ()),
        last_error=_notice(last_error) if last_error else None,
        temperature_c=vitals.temperature_c(),
        memory_bytes=vitals.memory_bytes(),
        disk=disk,
        camera=camera[:120],
    )
    return record.model_dump(mode="json", by_alias=True)


def _notice(notice: Notice) -> NoticeRecord:
    return NoticeRecord(kind=notice.kind, detail=notice.detail[:500], since=of_seconds(notice.since))
