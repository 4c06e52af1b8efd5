"""The connection to SQLite or PostgreSQL, and its one way to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from dashboard.database.tables import Base
from dashboard.settings import SettingsError

# Any number: it names the lock under which PostgreSQL appends to the audit log.
AUDIT_LOCK = 7_364_051


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
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Readers and the one writer go on side by side in WAL mode; a pool keeps their caches warm.
            self.engine = create_engine(parsed, pool_size=8, max_overflow=40, connect_args={"timeout": 30})
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            self.engine = create_engine(parsed, pool_size=8, max_overflow=16, pool_pre_ping=True)
        self.url = parsed
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads."""
        with self._sessions() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back at an error."""
        engine: Engine = self.engine.execution_options(writes=True)
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def lock_audit(self, session: Session) -> None:
        """Keep other writers of the audit log out until the transaction ends."""
        if not self.sqlite:  # a SQLite transaction that writes is alone already
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": AUDIT_LOCK})

    def upsert(
        self,
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
        insert = (sqlite if self.sqlite else postgresql).insert(table)
        keys = [column.name for column in table.__table__.primary_key]
        columns = table.__table__.columns
        changes: dict[str, Any] = {name: columns[name] + insert.excluded[name] for name in add}
        changes |= {name: insert.excluded[name] for name in replace}
        statement = (
            insert.on_conflict_do_update(index_elements=keys, set_=changes)
            if changes
            else insert.on_conflict_do_nothing()
        )
        session.execute(statement, list(rows))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _prepare_sqlite(connection: Any, record: Any) -> None:
    del record
    # pysqlite begins transactions late and by itself: we begin them, see _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "busy_timeout=30000",
        "cache_size=-32768",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    """A transaction that will write takes the lock at once: taking it later can fail without a wait."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
