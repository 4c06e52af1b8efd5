"""Follows the model server's prediction log and takes what is new in it.

The line's form is schemas/prediction_record.schema.json. The server rotates: predictions.jsonl becomes
predictions.jsonl.1; the place reached is kept with the file's inode, so that nothing is read twice or left out.
"""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

from dashboard import clock
from dashboard.database.connection import Database
from dashboard.database.tables import Cursor
from dashboard.field.answer import Answer
from dashboard.field.recorder import Recorder
from dashboard.worker import Worker

log = logging.getLogger(__name__)

NAME = "prediction-log"
SCHEMA = "melanosizer.prediction_record/1"
BATCH = 500
ZONES = frozenset({"low", "review", "refer"})


class LogTail(Worker):
    """Reads the log from where it stopped."""

    def __init__(
        self, database: Database, recorder: Recorder, path: Path, model_name: str, period: float
    ) -> None:
        super().__init__(NAME, period)
        self._database = database
        self._recorder = recorder
        self._path = path
        self._model = model_name
        self.skipped = 0

    def turn(self) -> None:
        """Take every whole line that is new."""
        with self._database.waiting():
            for path, offset in self._unread():
                self._take(path, offset)

    def _unread(self) -> list[tuple[Path, int]]:
        """Files with the place to start at, oldest first."""
        with self._database.read() as session:
            cursor = session.get(Cursor, NAME)
        rotated = sorted(
            (p for p in self._path.parent.glob(f"{self._path.name}.*") if p.suffix[1:].isdigit()),
            key=lambda p: -int(p.suffix[1:]),
        )
        files = [path for path in (*rotated, self._path) if path.is_file()]
        inodes = [path.stat().st_ino for path in files]
        if cursor is None or cursor.inode not in inodes:
            return [(path, 0) for path in files]
        at = inodes.index(cursor.inode)
        return [(files[at], cursor.offset), *((path, 0) for path in files[at + 1 :])]

    def _take(self, path: Path, offset: int) -> None:
        found = path.stat()
        if found.st_size < offset:
            offset = 0  # the file was cut: what is in it is new
            self._commit([], found.st_ino, 0)
        if found.st_size == offset:
            return
        batch: list[Answer] = []
        with path.open("rb") as stream:
            stream.seek(offset)
            for line in stream:
                if not line.endswith(b"\n") or self.stopping:
                    break
                offset += len(line)
                answer = parse(line, self._model)
                if answer is not None:
                    batch.append(answer)
                else:
                    self.skipped += 1
                if len(batch) >= BATCH:
                    self._commit(batch, found.st_ino, offset)
                    batch = []
        self._commit(batch, found.st_ino, offset)

    def _commit(self, batch: list[Answer], inode: int, offset: int) -> None:
        if batch:
            self._recorder.put(batch).result(timeout=60)
        with self._database.write() as session:
            session.merge(Cursor(name=NAME, inode=inode, offset=offset))


def parse(line: bytes, model_name: str) -> Answer | None:
    """A record as an answer; None for another model's, or one without the fields a page needs."""
    try:
        found: Any = json.loads(line)
        if (
            not isinstance(found, dict)
            or found.get("schema") != SCHEMA
            or found.get("model") != model_name
            or "probability" not in found
        ):
            return None
        image = found.get("image") or {}
        mean, std = image.get("channel_mean"), image.get("channel_std")
        answer = Answer(
            request_id=str(found["request_id"])[:128],
            row=int(found["row"]),
            at=clock.parse(found["time"]),
            origin="server",
            version=str(found["model_version"])[:64],
            probability=float(found["probability"]),
            decision=int(found.get("decision", 0)),
            threshold=float(found.get("threshold", 0.5)),
            zone=str(found.get("zone", "")),
            out_of_distribution=_float(found.get("out_of_distribution")),
            latency_ms=_float(found.get("latency_ms")),
            sha256=image.get("sha256"),
            width=image.get("width"),
            height=image.get("height"),
            bytes=image.get("bytes"),
            brightness=round(sum(mean) / 3, 2) if mean else None,
            contrast=round(sum(std) / 3, 2) if std else None,
            redness=round(mean[0] / (sum(mean) or 1), 4) if mean else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not 0 <= answer.probability <= 1 or answer.zone not in ZONES:
        return None
    return answer


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
