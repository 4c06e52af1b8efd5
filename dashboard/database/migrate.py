"""Brings a database to the newest schema: a new one is made as the tables are now, one of before by the migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from dashboard.database.connection import Database
from dashboard.database.tables import Base
from dashboard.settings import SettingsError

FOLDER = Path(__file__).parent / "migrations"
# Several replicas may start at once; PostgreSQL lets one of them migrate.
MIGRATION_LOCK = 7_364_052
# What was written stays: neither an update nor a deletion gets past the database.
REFUSE_CHANGES = {
    "sqlite": [
        f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit log cannot be edited'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log cannot be edited'; END $$",
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
    ],
}


def upgrade(database: Database) -> None:
    """Make the tables, or change those of an earlier version. Raises SettingsError: the database cannot be used."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    place = database.url.render_as_string(hide_password=True)
    try:
        with database.waiting(), database.engine.execution_options(writes=True).begin() as connection:
            if not database.sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            config.attributes["connection"] = connection
            if inspect(connection).has_table("alembic_version"):
                command.upgrade(config, "head")
            else:
                # Tables of these names that somebody else made are not ours to write into: the database refuses.
                Base.metadata.create_all(connection, checkfirst=False)
                for statement in REFUSE_CHANGES[connection.dialect.name]:
                    connection.exec_driver_sql(statement)
                command.stamp(config, "head")
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        raise SettingsError(
            f"database {place}: made by a newer version of the dashboard, or by one between the first schema and the "
            "first release; start that version, or name another database with database_url"
        ) from None
    except DatabaseError as error:
        if not isinstance(error, OperationalError):
            advice = "restore it from a backup, or move it away and a new one is made"
        elif database.sqlite:
            advice = "is its folder writable, and does no other program hold it?"
        else:
            advice = "is PostgreSQL up, and is database_url right?"
        reason = str(error.orig).strip().splitlines()[0]
        raise SettingsError(f"database {place}: {reason}; {advice}") from None
