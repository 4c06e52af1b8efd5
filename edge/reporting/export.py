"""Takes examinations off a device by hand: pictures and one JSON line each, decrypted."""

from __future__ import annotations

import json
from pathlib import Path

from core.errors import UsageError
from core.files import write_atomic
from edge.queue.encryption import DamagedError
from edge.queue.queue import EVERY_ONE, Queue
from edge.reporting.records import examination_record


class ExportError(UsageError):
    """The target cannot be used; the text says why."""


def export(queue: Queue, target: Path, device_id: str, *, unsent_only: bool) -> tuple[int, int]:
    """Write `examinations.jsonl` and `ID.jpg` files into an empty or new folder; how many, and how many damaged.

    The examinations stay on the device, and unsent ones stay unsent.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise ExportError(f"{target} is not empty: give a new folder, so that nothing is mixed up")
        lines, damaged = [], 0
        for examination in reversed(queue.page(EVERY_ONE)):
            if unsent_only and examination.settled:
                continue
            record = examination_record(examination, device_id)
            try:
                if examination.kept:
                    write_atomic(target / f"{examination.id}.jpg", queue.picture(examination.id), mode=0o600)
                    record["picture"] = f"{examination.id}.jpg"
            except DamagedError as error:
                damaged += 1
                record["trouble"] = str(error)
            lines.append(json.dumps(record))
        write_atomic(
            target / "examinations.jsonl", "".join(line + "\n" for line in lines).encode(), mode=0o600
        )
    except OSError as error:
        raise ExportError(f"{target}: {error}") from None
    return len(lines), damaged
