"""Brings a database to the newest schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from dashboard.database.connection import Database

FOLDER = Path(__file__).parent / "migrations"
# Several replicas may start at once; PostgreSQL lets one of them migrate.
MIGRATION_LOCK = 7_364_052


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the migrations up to `revision`."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    with database.engine.execution_options(writes=True).begin() as connection:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
