"""The connection to SQLite or PostgreSQL, and its one way to write."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, TimeoutError
from sqlalchemy.orm import Session, sessionmaker

from dashboard.database.tables import Base
from dashboard.settings import SettingsError

# Any number: it names the lock under which PostgreSQL appends to the audit log.
AUDIT_LOCK = 7_364_051
# A page waits at most one reply and one new connection: together less than the 5 s a person is asked to wait.
REPLY_S = 2.5
CONNECT_S = 2  # libpq's minimum
LOCK_S = 4.0
# Work in the background waits longer for a lock than a page does.
PATIENT_S = 30.0
# After a failure callers are turned away at once for this long: they would hold every thread of the web server.
REST_S = 1.0

RV = TypeVar("RV")
T = TypeVar("T", bound=Base)
# Seconds this thread's work may wait, where that is not what a page may: set by :meth:`Database.waiting`.
_patience = threading.local()


class DatabaseDownError(Exception):
    """The database does not answer."""


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server that stopped answering.

    `statement_timeout` is kept by the server, and TCP's own limits by its kernel: neither ends the wait for a process
    that hangs.
    """

    def wait(self, gen: Generator[Any, Any, RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Drive one exchange with the server; close the connection when its time is over."""
        limit = max(REPLY_S, getattr(_patience, "seconds", REPLY_S))
        try:
            return super().wait(gen, interval, limit if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {limit:g} s") from None


class Database:
    """An engine with sessions; made once a process."""

    def __init__(self, url: str) -> None:
        """Raises SettingsError where the URL names no database this knows."""
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise SettingsError(
                "database_url: no database URL; valid are sqlite:///PATH and postgresql+psycopg://USER@HOST/NAME"
            ) from None
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise SettingsError(
                f"database_url: {parsed.get_backend_name()} is not supported; valid are sqlite:///PATH and "
                "postgresql+psycopg://USER@HOST/NAME"
            )
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if self.sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise SettingsError(
                    "database_url: SQLite needs a file, e.g. sqlite:////var/lib/dashboard.sqlite"
                )
            folder = Path(parsed.database).absolute().parent
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise SettingsError(
                    f"{folder}: the database's folder cannot be made: {error.strerror}; name another with state_dir"
                ) from None
            # Readers and the one writer go on side by side in WAL mode; a pool keeps their caches warm.
            self.engine = create_engine(
                parsed, pool_size=8, max_overflow=40, pool_timeout=LOCK_S, connect_args={"timeout": LOCK_S}
            )
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            self.engine = create_engine(
                parsed, pool_size=8, max_overflow=16, pool_pre_ping=True, pool_timeout=LOCK_S,
                connect_args={"connect_timeout": CONNECT_S, "options": "-c statement_timeout=30s"},
            )  # fmt: skip
            event.listen(self.engine, "do_connect", _connect_postgres)
        self.url = parsed
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._writing = sessionmaker(self.engine.execution_options(writes=True), expire_on_commit=False)
        self._rests_until = 0.0

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads. Raises DatabaseDownError."""
        with self._answering(), self._sessions() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back at an error. Raises DatabaseDownError."""
        with self._answering(), self._writing() as session, session.begin():
            yield session

    @contextmanager
    def waiting(self, seconds: float = PATIENT_S) -> Iterator[None]:
        """Let this thread wait so long for locks and statements: longer in the background, hardly for a trifle."""
        before = getattr(_patience, "seconds", None)
        _patience.seconds = seconds
        try:
            yield
        finally:
            if before is None:
                del _patience.seconds
            else:
                _patience.seconds = before

    @contextmanager
    def _answering(self) -> Iterator[None]:
        if time.monotonic() < self._rests_until:
            raise DatabaseDownError("it did not answer a moment ago")
        try:
            yield
        except (OperationalError, TimeoutError) as error:
            lost = isinstance(error, TimeoutError) or (not self.sqlite and _lost(error))
            if lost:
                self._rests_until = time.monotonic() + REST_S
            raise DatabaseDownError(str(getattr(error, "orig", error)).strip()) from error

    def lock_audit(self, session: Session) -> None:
        """Keep other writers of the audit log out until the transaction ends."""
        if not self.sqlite:  # a SQLite transaction that writes is alone already
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": AUDIT_LOCK})

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def insert(session: Session, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that can say what becomes of a row that is there already."""
    kind = session.get_bind().dialect.name
    return sqlite.insert(table) if kind == "sqlite" else postgresql.insert(table)


def upsert(
    session: Session,
    table: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    add: Sequence[str] = (),
    replace: Sequence[str] = (),
) -> None:
    """Insert rows; where the primary key is there already, add to `add` and overwrite `replace`."""
    if not rows:
        return
    statement = insert(session, table)
    keys = [column.name for column in table.__table__.primary_key]
    columns = table.__table__.columns
    changes: dict[str, Any] = {name: columns[name] + statement.excluded[name] for name in add}
    changes |= {name: statement.excluded[name] for name in replace}
    if changes:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changes)
    else:
        statement = statement.on_conflict_do_nothing()
    session.execute(statement, list(rows))


def by_number(session: Session, table: type[T], number: int) -> T | None:
    """Return a row by a number of an address, which may be larger than any column holds."""
    return session.get(table, number) if 0 < number < 2**62 else None


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # pysqlite begins transactions late and by itself: we begin them, see _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "cache_size=-32768",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    """A transaction that will write takes the lock at once: taking it later can fail without a wait."""
    seconds = getattr(_patience, "seconds", LOCK_S)
    connection.exec_driver_sql(f"PRAGMA busy_timeout={seconds * 1000:.0f}")
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _connect_postgres(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    return DeadlineConnection.connect(*arguments, **options)


def _lost(error: DBAPIError) -> bool:
    """Whether the connection is gone, rather than one statement refused."""
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None
