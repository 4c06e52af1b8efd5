"""Deletes what is older than the configuration keeps, in small transactions."""

from __future__ import annotations

import logging

from sqlalchemy import delete, select

from dashboard import clock
from dashboard.database.connection import Database
from dashboard.database.tables import Bin, Examination, Heartbeat, Hour, Prediction
from dashboard.field.pictures import Pictures

log = logging.getLogger(__name__)

BATCH = 5000
PERIOD = clock.HOUR


class Retention:
    """Deletes once an hour."""

    def __init__(self, database: Database, days: int, pictures: Pictures | None = None) -> None:
        self._database = database
        self._age = days * clock.DAY
        self._pictures = pictures
        self._next = 0

    def turn(self) -> None:
        """Delete, if an hour has passed."""
        now = clock.now()
        if now < self._next:
            return
        self._next = now + PERIOD
        gone = self.delete(now - self._age)
        if self._pictures is not None:
            self._pictures.delete_old()
        if gone:
            log.info("retention: %d records were deleted", gone)

    def delete(self, before: int) -> int:
        """Delete what is older than a moment; how many rows went."""
        total = 0
        for table in (Prediction, Examination):
            key = table.id
            while True:
                with self._database.write() as session:
                    old = session.scalars(select(key).where(table.at < before).limit(BATCH)).all()
                    if old:
                        session.execute(delete(table).where(key.in_(old)))
                total += len(old)
                if len(old) < BATCH:
                    break
        with self._database.write() as session:
            for column in (Heartbeat.at, Hour.hour, Bin.day):
                found = session.execute(delete(column.class_).where(column < before))
                total += int(getattr(found, "rowcount", 0) or 0)
        return total
