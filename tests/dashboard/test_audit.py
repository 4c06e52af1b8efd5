"""The audit log: a chain nobody edits unseen, on both databases."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dashboard.database import migrate
from dashboard.database.connection import Database
from dashboard.security.audit import AuditLog
from dashboard.security.secret import Secret


@pytest.fixture
def log(database_url: str, tmp_path: Path) -> Any:
    database = Database(database_url)
    migrate.upgrade(database)
    made = AuditLog(database, Secret(tmp_path / "secret.key"), tmp_path / "audit.head")
    for number in range(4):
        with database.write() as session:
            made.add(session, "mira", "promote", f"version {number}", why="ä <b>")
    yield database, made
    database.close()


def test_an_untouched_chain_is_whole(log: Any) -> None:
    _, made = log
    found = made.verify()
    assert (found.intact, found.lines) == (True, 4)


@pytest.mark.parametrize(
    "change", ["UPDATE audit SET who = 'nobody' WHERE id = 2", "DELETE FROM audit WHERE id = 4"]
)
def test_the_database_refuses_changes(log: Any, change: str) -> None:
    database, made = log
    with pytest.raises(DBAPIError, match="cannot be edited"), database.write() as session:
        session.execute(text(change))
    assert made.verify().intact


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ("UPDATE audit SET who = 'nobody' WHERE id = 2", "line 2 was changed"),
        ("UPDATE audit SET at = at + 1 WHERE id = 4", "line 4 was changed"),
        ("DELETE FROM audit WHERE id = 2", "line 2 is missing"),
        ("DELETE FROM audit WHERE id >= 3", "lines 3 to 4 are missing at the end"),
        ("DELETE FROM audit WHERE id = 4", "lines 4 to 4 are missing at the end"),
    ],
)
def test_whoever_takes_the_triggers_away_is_found_out(log: Any, change: str, trouble: str) -> None:
    database, made = log
    drop = (
        ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"]
        if database.sqlite
        else ["DROP TRIGGER audit_no_change ON audit"]
    )
    with database.write() as session:
        for statement in (*drop, change):
            session.execute(text(statement))
    found = made.verify()
    assert not found.intact
    assert trouble in found.trouble


def test_a_line_whose_act_failed_leaves_the_chain_whole(log: Any) -> None:
    database, made = log

    def act() -> None:
        with database.write() as session:
            made.add(session, "mira", "promote", "version 4")
            raise RuntimeError("after the line")

    with pytest.raises(RuntimeError, match="after the line"):
        act()
    assert (made.verify().intact, made.verify().lines) == (True, 4)
    with database.write() as session:
        made.add(session, "mira", "promote", "version 5")
        made.add(session, "mira", "promote", "version 6")
    assert (made.verify().intact, made.verify().lines) == (True, 6)


def test_lines_that_come_together_leave_the_last_one_remembered(
    log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, made = log
    monkeypatch.setattr("os.fsync", lambda _: time.sleep(0.02))  # a slow disk

    def act(number: int) -> None:
        with database.write() as session:
            made.add(session, "mira", "promote", f"version {number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(act, range(4, 12)))
    assert (made.verify().intact, made.verify().lines) == (True, 12)
    assert (tmp_path / "audit.head").read_text().startswith("12 ")


def test_another_key_does_not_make_a_chain_that_passes(log: Any, tmp_path: Path) -> None:
    database, _ = log
    other = AuditLog(database, Secret(tmp_path / "other.key"), tmp_path / "none")
    assert "line 1 was changed" in other.verify().trouble


def test_an_act_that_fails_leaves_no_line(log: Any) -> None:
    database, made = log

    def fail() -> None:
        with database.write() as session:
            made.add(session, "mira", "promote", "version 9")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    found = made.verify()
    assert (found.intact, found.lines) == (True, 4)
