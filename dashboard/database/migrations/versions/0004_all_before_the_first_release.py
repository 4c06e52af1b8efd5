"""All that came before the first release: the index of data sets, alerts that wait, notes on runs, codes, time zones"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "data_counts",
        sa.Column("data_version", sa.String(64), primary_key=True),
        sa.Column("column", sa.String(24), primary_key=True),
        sa.Column("value", sa.String(80), primary_key=True),
        sa.Column("split", sa.String(8), primary_key=True),
        sa.Column("negatives", sa.Integer(), nullable=False),
        sa.Column("positives", sa.Integer(), nullable=False),
    )
    op.create_table(
        "data_images",
        sa.Column("data_version", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(160), primary_key=True, index=True),
        sa.Column("split", sa.String(8), nullable=False),
        sa.Column("target", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False, index=True),
    )
    op.create_table(
        "data_sets",
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
    )
    op.create_table(
        "reference_bins",
        sa.Column("data_version", sa.String(64), primary_key=True),
        sa.Column("feature", sa.String(24), primary_key=True),
        sa.Column("bin", sa.Integer(), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
    )
    op.create_table(
        "run_notes",
        sa.Column("run_id", sa.String(160), primary_key=True),
        sa.Column("tags", sa.String(400), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("archived", sa.BigInteger()),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(160), nullable=False),
    )
    _add("rules", "margin", sa.Float(), "0")
    _add("rules", "wait_minutes", sa.Float(), "0")
    _add("rules", "deleted", sa.BigInteger())
    # The rule that a database begins with: a processor that swings around its limit is one alert and not six.
    op.execute(sa.text("UPDATE rules SET margin = 3, wait_minutes = 2 WHERE kind = 'device_hot'"))
    _add("alerts", "snoozed_until", sa.BigInteger())
    _add("alerts", "snoozed_by", sa.String(160))
    _add("deliveries", "event", sa.String(16), "opened")
    _add("sessions", "id_token", sa.Text(), "")
    _add("users", "time_zone", sa.String(64), "UTC")
    _add("examinations", "code", sa.String(64), "")
    _add("examinations", "number", sa.BigInteger(), "0")
    op.create_index("ix_examinations_code", "examinations", ["code"])
    op.create_index("ix_examinations_number", "examinations", ["number"])
    # Devices always sent the number; it stood in the document only.
    sqlite = op.get_bind().dialect.name == "sqlite"
    number = "json_extract(document, '$.number') AS INTEGER" if sqlite else "document->>'number' AS BIGINT"
    op.execute(sa.text(f"UPDATE examinations SET number = COALESCE(CAST({number}), 0)"))  # noqa: S608 - one of two constants


def _add(table: str, name: str, kind: sa.types.TypeEngine[Any], default: str | None = None) -> None:
    """Add a column, which may be null if it has no default."""
    op.add_column(table, sa.Column(name, kind, server_default=default, nullable=default is None))
