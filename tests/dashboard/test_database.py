"""Migrations and writing, on both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, inspect, select, text

from dashboard.database import migrate
from dashboard.database.connection import Database
from dashboard.database.tables import Base, Device, Hour, Prediction, VersionDevice
from dashboard.field.recorder import Recorder
from dashboard.settings import SettingsError


@pytest.fixture
def database(database_url: str) -> Any:
    made = Database(database_url)
    yield made
    made.close()


def answer(number: int, **change: Any) -> Prediction:
    values: dict[str, Any] = {
        "request_id": f"r{number}", "row": 0, "at": 1_795_000_000_000 + number, "origin": "server", "version": "7",
        "probability": 0.2, "decision": 1, "threshold": 0.18, "zone": "refer", "device_id": "pi-1", "latency_ms": 5.0,
    }  # fmt: skip
    return Prediction(**(values | change))


ADDED = {
    "users": ("time_zone",), "rules": ("margin", "wait_minutes", "deleted"), "alerts": ("snoozed_until", "snoozed_by"),
    "deliveries": ("event",), "sessions": ("id_token",), "examinations": ("code", "number"),
}  # fmt: skip


def make_first_schema(database: Database) -> None:
    """Take from the newest schema what migration 0004 adds."""
    migrate.upgrade(database)
    with database.write() as session:
        for table in ("data_counts", "data_images", "data_sets", "reference_bins", "run_notes"):
            session.execute(text(f"DROP TABLE {table}"))
        for index in ("ix_examinations_code", "ix_examinations_number"):
            session.execute(text(f"DROP INDEX {index}"))
        for table, columns in ADDED.items():
            for column in columns:
                session.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def test_a_database_of_the_first_schema_keeps_what_is_in_it(database: Any) -> None:
    make_first_schema(database)
    assert "data_images" not in inspect(database.engine).get_table_names()
    with database.write() as session:
        session.execute(
            text("INSERT INTO users (name, role, active, created) VALUES ('mira', 'admin', :yes, 5)"),
            {"yes": True},
        )
    migrate.upgrade(database)
    migrate.upgrade(database)
    with database.read() as session:
        assert session.execute(text("SELECT name FROM users")).scalar() == "mira"
        assert compare_metadata(MigrationContext.configure(session.connection()), Base.metadata) == []


def test_tables_that_somebody_else_made_are_left_alone(database: Any) -> None:
    with database.write() as session:
        session.execute(text("CREATE TABLE users (name TEXT)"))
    with pytest.raises(SettingsError, match="already exists"):
        migrate.upgrade(database)
    assert inspect(database.engine).get_table_names() == ["users"]


def test_counts_grow_with_every_new_answer_and_with_none_twice(database: Any) -> None:
    migrate.upgrade(database)
    recorder = Recorder(database)
    assert recorder.write([answer(1), answer(2), answer(1)]) == 2
    assert recorder.write([answer(2), answer(3, zone="low")]) == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 3
        row = session.execute(select(Hour)).scalar_one()
    assert (row.answers, row.referred, row.latency_ms) == (3, 2, 15.0)
    assert row.probability == pytest.approx(0.6)


def test_many_writers_lose_nothing(database: Any) -> None:
    migrate.upgrade(database)
    recorder = Recorder(database)
    recorder.start()
    futures: list[Any] = []

    def put(begin: int) -> None:
        futures.extend(recorder.put([answer(begin + i)]) for i in range(25))

    threads = [threading.Thread(target=put, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(future.result(timeout=120) == 1 for future in futures)
    recorder.stop()
    with database.read() as session:
        assert session.execute(select(Hour.answers)).scalar() == 100


def test_an_answer_nobody_waits_for_any_more_is_written_and_the_others_are_told(database: Any) -> None:
    migrate.upgrade(database)
    recorder = Recorder(database)
    left, kept = recorder.put([answer(1)]), recorder.put([answer(2)])
    left.cancel()
    recorder.stop()
    assert kept.result(timeout=0) == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 2


def test_an_answer_gets_its_device_whichever_log_brings_it_first(database: Any) -> None:
    migrate.upgrade(database)
    recorder = Recorder(database)
    log = [answer(number, device_id=None) for number in range(4)]
    reports = [answer(number, origin="device", brightness=None) for number in range(4)]
    recorder.write([log[0]])
    recorder.write([reports[0]])
    recorder.write([reports[1]])
    recorder.write([log[1]])
    recorder.write([log[2], reports[2]])
    recorder.write([reports[3], log[3]])
    recorder.write(reports)
    with database.read() as session:
        devices = session.scalars(select(Prediction.device_id).order_by(Prediction.request_id)).all()
        link = session.execute(select(VersionDevice)).scalar_one()
        device = session.execute(select(Device)).scalar_one()
    assert devices == ["pi-1"] * 4
    assert (link.answers, device.answered) == (4, 4)
