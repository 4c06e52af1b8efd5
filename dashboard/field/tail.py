"""Follows the model server's prediction log and takes what is new in it.

The line's form is schemas/prediction_record.schema.json. The server rotates: predictions.jsonl becomes
predictions.jsonl.1; the place reached is kept with the file's inode, so that nothing is read twice or left out.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from core.images.statistics import ImageStatistics
from core.records.prediction import ANSWER_FIELDS, parse
from core.records.times import milliseconds
from core.worker import Worker
from dashboard.database.connection import Database
from dashboard.database.tables import Cursor, Prediction
from dashboard.field.recorder import Recorder
from dashboard.field.retention import Pictures

log = logging.getLogger(__name__)

NAME = "prediction-log"
BATCH = 500


class LogTail(Worker):
    """Reads the log from where it stopped."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        path: Path,
        model_name: str,
        period: float,
        pictures: Pictures,
    ) -> None:
        super().__init__(NAME, period)
        self._database = database
        self._recorder = recorder
        self._path = path
        self._model = model_name
        self.pictures = pictures
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
        batch: list[Prediction] = []
        with path.open("rb") as stream:
            stream.seek(offset)
            for line in stream:
                if not line.endswith(b"\n") or self.stopping:
                    break
                offset += len(line)
                answer = answer_of(line, self._model, self.pictures)
                if answer is not None:
                    batch.append(answer)
                else:
                    self.skipped += 1
                if len(batch) >= BATCH:
                    self._commit(batch, found.st_ino, offset)
                    batch = []
        self._commit(batch, found.st_ino, offset)

    def _commit(self, batch: list[Prediction], inode: int, offset: int) -> None:
        if batch:
            self._recorder.put(batch).result(timeout=60)
        with self._database.write() as session:
            session.merge(Cursor(name=NAME, inode=inode, offset=offset))


def answer_of(line: bytes, model_name: str, pictures: Pictures | None = None) -> Prediction | None:
    """Return a line's answer; None for another model's, or one without the fields a page needs.

    Where the server was told to keep images, a small picture of it goes into `pictures`.
    """
    record = parse(line)
    if record is None or not record.complete or record.model != model_name:
        return None
    image = record.image
    if pictures is not None and image is not None and image.data:
        pictures.keep(image.sha256, image.data)
    facts: dict[str, Any] = image.model_dump(include={"sha256", "width", "height", "bytes"}) if image else {}
    if image is not None and image.channel_mean and image.channel_std:
        facts |= ImageStatistics.of(image.channel_mean, image.channel_std).figures
    return Prediction(
        request_id=record.request_id[:128],
        row=record.row,
        at=milliseconds(record.time),
        origin="server",
        version=record.model_version,
        device_id=record.device_id,
        latency_ms=record.latency_ms,
        **record.model_dump(include=set(ANSWER_FIELDS)),
        **facts,
    )
