"""The order and state of the examinations in SQLite: WAL, synchronous=FULL, what is personal sealed."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.queue.encryption import DamagedError, Encryptor
from edge.queue.examination import Answer, Examination

SCHEMA = """
CREATE TABLE IF NOT EXISTS examinations (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    captured_at REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'answered', 'refused', 'damaged')),
    reported INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 1,
    bytes INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    settled_at REAL,
    sealed BLOB NOT NULL,
    set_aside INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS by_state ON examinations (state, number);
CREATE INDEX IF NOT EXISTS by_report ON examinations (reported, number);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


class CorruptStoreError(Exception):
    """The database file is no database any more, or its contents were changed."""


class ExaminationStore:
    """Rows of examinations; every method is one transaction and safe to call from any thread."""

    def __init__(self, path: Path, encryptor: Encryptor) -> None:
        """Open or create the database at `path`.

        Raises CorruptStoreError, or sqlite3.OperationalError if the disk is full or failing.
        """
        self._encryptor = encryptor
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise CorruptStoreError(f"{path}: {verdict}")
            self._db.executescript(SCHEMA)
            self._migrate()
            # Every row: a flipped bit inside one is no damage in SQLite's eyes, and would end each thread that reads it.
            self.select("")
        except (sqlite3.DatabaseError, CorruptStoreError) as error:
            self._db.close()
            # A full or failing disk says nothing about what is written on it.
            if isinstance(error, sqlite3.OperationalError | CorruptStoreError):
                raise
            raise CorruptStoreError(f"{path}: {error}") from None

    def insert(self, examination: Examination, size: int) -> None:
        """Add a row; `size` is the sealed picture's length in bytes."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO examinations (number, id, captured_at, state, bytes, sealed) "
                "VALUES (:number, :id, :captured_at, :state, :bytes, :sealed)",
                {**self._values(examination), "bytes": size},
            )
            last = max(self.last_number(), examination.number)
            self._db.execute("INSERT OR REPLACE INTO facts VALUES ('last_number', ?)", (str(last),))

    def update(self, examination: Examination) -> None:
        """Write the changed parts of a row."""
        with self._transaction():
            self._db.execute(
                "UPDATE examinations SET state = :state, reported = :reported, kept = :kept, tries = :tries, "
                "settled_at = :answered_at, set_aside = :set_aside, sealed = :sealed WHERE id = :id",
                self._values(examination),
            )

    def delete(self, examination_id: str) -> None:
        """Remove a row."""
        with self._transaction():
            self._db.execute("DELETE FROM examinations WHERE id = ?", (examination_id,))

    def select(self, where: str, values: tuple[Any, ...] = ()) -> list[Examination]:
        """Return the rows that the SQL in `where` (written in this package, never from outside) chooses."""
        columns = "id, state, reported, kept, tries, settled_at, set_aside, sealed"
        with self._lock:
            rows = self._db.execute(f"SELECT {columns} FROM examinations {where}", values).fetchall()  # noqa: S608
        return [self._examination(row) for row in rows]

    def ids(self) -> set[str]:
        """Every id there is."""
        with self._lock:
            return {row[0] for row in self._db.execute("SELECT id FROM examinations")}

    def counts(self) -> dict[str, int]:
        """Return rows by state, `set_aside` ones (they wait, too), what the gateway has not got (`unreported`), and all."""
        with self._lock:
            found = dict(self._db.execute("SELECT state, COUNT(*) FROM examinations GROUP BY state"))
            unreported, set_aside = self._db.execute(
                "SELECT COUNT(*) FILTER (WHERE reported = 0), COUNT(*) FILTER (WHERE set_aside) FROM examinations"
            ).fetchone()
        states = {state: int(found.get(state, 0)) for state in ("waiting", "answered", "refused", "damaged")}
        more = {"set_aside": int(set_aside), "unreported": int(unreported)}
        return {**states, **more, "total": sum(states.values())}

    def bytes_kept(self) -> int:
        """Return the bytes of all pictures that are on the disk."""
        with self._lock:
            found = self._db.execute("SELECT COALESCE(SUM(bytes), 0) FROM examinations WHERE kept = 1")
            return int(found.fetchone()[0])

    def last_number(self) -> int:
        """Return the highest number ever given: numbers are not used twice, also after rows were removed."""
        return int(self.fact("last_number", "0"))

    def fact(self, name: str, default: str) -> str:
        """Return a remembered value."""
        with self._lock:
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def remember(self, name: str, value: str) -> None:
        """Remember a value across restarts."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _migrate(self) -> None:
        """Add what a database of an earlier version lacks."""
        columns = {row[1] for row in self._db.execute("PRAGMA table_info(examinations)")}
        if "set_aside" not in columns:
            self._db.execute("ALTER TABLE examinations ADD COLUMN set_aside INTEGER NOT NULL DEFAULT 0")

    def _values(self, examination: Examination) -> dict[str, Any]:
        """Return the columns by name; what is personal goes into `sealed`."""
        record = {
            **examination.header(),
            "answer": asdict(examination.answer) if examination.answer else None,
            "heat_map": examination.heat_map,
            "trouble": examination.trouble,
        }
        sealed = self._encryptor.encrypt(json.dumps(record).encode(), f"{examination.id}.record")
        return {**vars(examination), "sealed": sealed}

    def _examination(self, row: tuple[Any, ...]) -> Examination:
        examination_id, state, reported, kept, tries, settled_at, set_aside, sealed = row
        try:
            record = json.loads(self._encryptor.decrypt(sealed, f"{examination_id}.record"))
        except DamagedError as error:
            raise CorruptStoreError(str(error)) from None
        answer = record.pop("answer")
        return Examination(
            **record,
            state=state,
            reported=bool(reported),
            kept=bool(kept),
            set_aside=bool(set_aside),
            tries=tries,
            answered_at=settled_at,
            answer=Answer(**answer) if answer else None,
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._db:  # commits, or rolls back after any exception
            self._db.execute("BEGIN IMMEDIATE")
            yield
