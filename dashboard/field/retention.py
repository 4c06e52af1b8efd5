"""What is kept of answers beside their numbers, and for how long: small pictures, and the hourly deletion."""

from __future__ import annotations

import base64
import binascii
import logging
from pathlib import Path

from sqlalchemy import Delete, delete, select
from sqlalchemy.orm import Session

from core.files import write_atomic
from core.images.decode import ImageRefusedError, thumbnail
from core.worker import Worker
from dashboard import clock
from dashboard.database.connection import Database
from dashboard.database.tables import Bin, Examination, Heartbeat, Hour, Prediction

log = logging.getLogger(__name__)

BATCH = 5000
PERIOD_S = 3600.0
SIDE = 448


class Pictures:
    """A folder of thumbnails, named by the digest of the image, where the model server was told to keep images."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made with the first picture."""
        self._folder = folder

    def place(self, sha256: str) -> Path:
        """Return the file of an image, whether or not there is one; `sha256` is 64 hexadecimal digits."""
        return self._folder / sha256[:2] / f"{sha256}.jpg"

    def keep(self, sha256: str, encoded: str) -> None:
        """Keep a picture of a base64-encoded image; one that cannot be decoded is left out."""
        path = self.place(sha256)
        if path.exists():
            return
        try:
            write_atomic(path, thumbnail(base64.b64decode(encoded, validate=True), SIDE))
        except (ImageRefusedError, binascii.Error, OSError) as error:
            log.info("no picture of %s: %s", sha256[:12], error)

    def delete(self, before: int) -> None:
        """Delete what is older than a moment."""
        for path in self._folder.glob("??/*.jpg"):
            if path.stat().st_mtime * 1000 < before:
                path.unlink(missing_ok=True)


class Retention(Worker):
    """Deletes once an hour what is older than the configuration keeps, in small transactions."""

    def __init__(self, database: Database, days: int, pictures: Pictures | None = None) -> None:
        super().__init__("retention", PERIOD_S)
        self._database = database
        self._age = days * clock.DAY
        self._pictures = pictures

    def turn(self) -> None:
        """Delete once."""
        edge = clock.now() - self._age
        with self._database.waiting():
            gone = self.delete(edge)
        if self._pictures is not None:
            self._pictures.delete(edge)
        if gone:
            log.info("retention: %d records were deleted", gone)

    def delete(self, before: int) -> int:
        """Delete what is older than a moment; how many rows went."""
        total = 0
        for table in (Prediction, Examination):
            old = BATCH
            while old == BATCH and not self.stopping:
                oldest = select(table.id).where(table.at < before).limit(BATCH)
                with self._database.write() as session:
                    old = _gone(session, delete(table).where(table.id.in_(oldest)))
                total += old
        with self._database.write() as session:
            for column in (Heartbeat.at, Hour.hour, Bin.day):
                total += _gone(session, delete(column.class_).where(column < before))
        return total


def _gone(session: Session, statement: Delete) -> int:
    """Execute a deletion; how many rows went. No object of them is in the session."""
    found = session.execute(statement, execution_options={"synchronize_session": False})
    return int(getattr(found, "rowcount", 0) or 0)
