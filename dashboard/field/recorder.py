"""Writes answers and their counts: many callers, one thread, one transaction a batch.

A caller may wait until its answer is on disk; waiting for a batch costs milliseconds and not a commit each.
"""

from __future__ import annotations

import logging
import queue
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import fields
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.worker import Worker
from dashboard import clock
from dashboard.database.connection import Database, insert, upsert
from dashboard.database.tables import Bin, Device, Hour, Prediction, VersionDevice
from dashboard.field.features import COUNTED

log = logging.getLogger(__name__)

MOST = 500
WAITING = 10_000
STRANGE = 0.5
PERIOD_S = 60.0  # what comes ends the pause


# What an answer brings: all but its number.
BROUGHT = tuple(field.name for field in fields(Prediction) if field.init)

Job = tuple[Sequence[Prediction], Future[int]]


class QueueFullError(Exception):
    """More answers wait to be written than there is room for."""


class Recorder(Worker):
    """The only writer of predictions and of what is counted of them."""

    def __init__(self, database: Database) -> None:
        super().__init__("recorder", PERIOD_S)
        self._database = database
        self._queue: queue.Queue[Job] = queue.Queue(WAITING)
        self.written = 0

    def turn(self) -> None:
        """Write what waits, batch by batch."""
        while not self._queue.empty():
            jobs: list[Job] = []
            while not self._queue.empty() and sum(len(answers) for answers, _ in jobs) < MOST:
                jobs.append(self._queue.get())  # this thread alone takes from the queue: it does not wait
            self._settle(jobs)

    def stop(self) -> None:
        """Stop, and write what waits."""
        super().stop()
        if not self.alive:
            self.turn()

    def put(self, answers: Sequence[Prediction]) -> Future[int]:
        """Take answers; the future tells how many were new once they are on disk. Raises QueueFullError."""
        done: Future[int] = Future()
        try:
            self._queue.put_nowait((answers, done))
        except queue.Full:
            raise QueueFullError(
                "the database is too slow: more than 10,000 answers wait to be written"
            ) from None
        self.wake()
        return done

    def write(self, answers: Sequence[Prediction]) -> int:
        """Write at once; how many were new."""
        with self._database.write() as session:
            fresh = _insert(session, answers)
            count(session, fresh)
            new = {(answer.request_id, answer.row) for answer in fresh}
            # A device's report of an answer that the server's log brought first: the answer gets its device.
            claim(
                session,
                [
                    (a.request_id, a.device_id)
                    for a in answers
                    if a.device_id and (a.request_id, a.row) not in new
                ],
            )
        self.written += len(fresh)
        return len(fresh)

    def _settle(self, jobs: list[Job]) -> None:
        # What was brought is written also for those who have given up waiting, as at the end of the process.
        waiting = [(len(answers), done) for answers, done in jobs if done.set_running_or_notify_cancel()]
        try:
            with self._database.waiting():
                self.write([answer for answers, _ in jobs for answer in answers])
        except Exception as error:
            log.exception("%d answers could not be written", sum(len(a) for a, _ in jobs))
            for _, done in waiting:
                done.set_exception(error)
            return
        for number, done in waiting:
            done.set_result(number)


def _insert(session: Session, answers: Sequence[Prediction]) -> list[Prediction]:
    # The first of a request's rows counts; the same again, from another log, is the same answer, and only the
    # device's own report knows the device.
    unique = {(answer.request_id, answer.row): answer for answer in reversed(answers)}
    for answer in answers:
        key = (answer.request_id, answer.row)
        if answer.device_id and not unique[key].device_id:
            unique[key].device_id = answer.device_id
    if not unique:
        return []
    statement = insert(session, Prediction).on_conflict_do_nothing(index_elements=["request_id", "row"])
    rows = [{name: getattr(answer, name) for name in BROUGHT} for answer in reversed(unique.values())]
    new = session.execute(statement.returning(Prediction.request_id, Prediction.row), rows).all()
    return [unique[request, row] for request, row in new]


def count(session: Session, answers: Sequence[Prediction]) -> None:
    """Add answers to every count that pages read."""
    cells: dict[tuple[int, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    bins: Counter[tuple[int, str, str, int]] = Counter()
    for answer in answers:
        cell = cells[answer.at // clock.HOUR * clock.HOUR, answer.version]
        cell["answers"] += 1
        cell["referred"] += answer.zone == "refer"
        cell["reviewed"] += answer.zone == "review"
        cell["strange"] += (answer.out_of_distribution or 0) >= STRANGE
        cell["probability"] += answer.probability
        cell["latency_ms"] += answer.latency_ms or 0
        day = answer.at // clock.DAY * clock.DAY
        for name, feature in COUNTED.items():
            value = getattr(answer, name)
            if value is not None:
                bins[day, answer.version, name, feature.bin(value)] += 1
    add_hours(session, cells)
    upsert(
        session,
        Bin,
        [
            {"day": d, "version": v, "feature": f, "bin": b, "count": n}
            for (d, v, f, b), n in sorted(bins.items())
        ],
        add=("count",),
    )
    link(session, [(a.version, a.device_id, a.at) for a in answers if a.device_id])


def add_hours(session: Session, cells: dict[tuple[int, str], dict[str, float]]) -> None:
    """Add to the hourly counts."""
    whole = ("answers", "referred", "reviewed", "strange", "failures")
    parts = ("probability", "latency_ms")
    rows = [
        {"hour": hour, "version": version}
        | {name: int(cell.get(name, 0)) for name in whole}
        | {name: cell.get(name, 0.0) for name in parts}
        for (hour, version), cell in sorted(cells.items())
    ]
    upsert(session, Hour, rows, add=whole + parts)


def hours(
    session: Session, by: InstrumentedAttribute[Any], names: Sequence[str], since: int, *wanted: Any
) -> list[Sequence[Any]]:
    """Return the sums of some hourly counts from a moment on, in the order of what they are told apart `by`."""
    sums = (func.sum(getattr(Hour, name)).label(name) for name in names)
    first = since // clock.HOUR * clock.HOUR
    rows = session.execute(select(by, *sums).where(Hour.hour >= first, *wanted).group_by(by).order_by(by))
    return [*rows]


def link(session: Session, answered: Sequence[tuple[str, str, int]]) -> None:
    """Note which devices were answered by which version, and that they live: (version, device, moment) each."""
    links = Counter((version, device) for version, device, _ in answered)
    totals = Counter(device for _, device, _ in answered)
    last: dict[str, int] = {}
    for _, device, at in answered:
        last[device] = max(last.get(device, 0), at)
    upsert(
        session,
        VersionDevice,
        [
            {"version": version, "device_id": device, "answers": number, "last": last[device]}
            for (version, device), number in sorted(links.items())
        ],
        add=("answers",),
        replace=("last",),
    )
    for device, number in sorted(totals.items()):
        touch(session, device, last[device])
        session.execute(update(Device).where(Device.id == device).values(answered=Device.answered + number))


def touch(session: Session, device_id: str, at: int) -> None:
    """Note that a device was heard of; it is made where it is new."""
    found = session.scalar(select(Device.last_seen).where(Device.id == device_id))
    if found is None:
        session.add(Device(id=device_id, first_seen=at, last_seen=at, heartbeat={}))
        session.flush()
    elif found < at:
        session.execute(update(Device).where(Device.id == device_id).values(last_seen=at))


def claim(session: Session, claims: Sequence[tuple[str, str]]) -> None:
    """Give answers without a device theirs: (request id, device id) each; what has one keeps it."""
    taken: list[tuple[str, str, int]] = []
    for request_id, device_id in claims:
        rows = session.execute(
            update(Prediction)
            .where(Prediction.request_id == request_id, Prediction.device_id.is_(None))
            .values(device_id=device_id)
            .returning(Prediction.version, Prediction.at)
        )
        taken += [(row.version, device_id, row.at) for row in rows]
    link(session, taken)
