"""What the fleet's gateway is told: the records of core/records, filled from the device's own objects."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.records import examination as records
from core.records.examination import ExaminationAnswer, ExaminedImage, Quality
from core.records.heartbeat import Disk, Heartbeat, Queue, Versions
from core.records.heartbeat import Notice as NoticeRecord
from core.records.times import of_seconds
from edge import __version__
from edge.notices import Notice
from edge.queue.examination import Examination

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
STATM = Path("/proc/self/statm")


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
    """Return one sign of life's JSON: what is given, by the names of `Heartbeat`, and this process's vital signs."""
    record = Heartbeat(
        device_id=device_id,
        sent_at=of_seconds(time.time() if now is None else now),
        clock_trusted=clock_trusted,
        uptime_s=max(0.0, round(uptime_s, 1)),
        versions=Versions(software=__version__, **(versions or {})),
        queue=Queue(**(queue or {})),
        notices=tuple(_notice(notice) for notice in notices or ()),
        last_error=_notice(last_error) if last_error else None,
        temperature_c=temperature_c(),
        memory_bytes=memory_bytes(),
        disk=disk,
        camera=camera[:120],
    )
    return record.model_dump(mode="json", by_alias=True)


def temperature_c(path: Path = THERMAL) -> float | None:
    """Return the processor's temperature in degrees Celsius; None where the kernel shows none."""
    try:
        return int(path.read_text()) / 1000.0
    except (OSError, ValueError):
        return None


def memory_bytes() -> int:
    """Resident memory of this process."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _notice(notice: Notice) -> NoticeRecord:
    return NoticeRecord(kind=notice.kind, detail=notice.detail[:500], since=of_seconds(notice.since))
