"""Alerts that wait, notes on runs, codes of examinations"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "run_notes",
        sa.Column("run_id", sa.String(length=160), nullable=False),
        sa.Column("tags", sa.String(length=400), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("archived", sa.BigInteger(), nullable=True),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(length=160), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_notes")),
    )
    with op.batch_alter_table("rules") as batch:
        batch.add_column(sa.Column("margin", sa.Float(), server_default="0", nullable=False))
        batch.add_column(sa.Column("wait_minutes", sa.Float(), server_default="0", nullable=False))
        batch.add_column(sa.Column("deleted", sa.BigInteger(), nullable=True))
    # The rule that a database begins with: a processor that swings around its limit is one alert and not six.
    op.execute(sa.text("UPDATE rules SET margin = 3, wait_minutes = 2 WHERE kind = 'device_hot'"))
    with op.batch_alter_table("alerts") as batch:
        batch.add_column(sa.Column("snoozed_until", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("snoozed_by", sa.String(length=160), nullable=True))
    with op.batch_alter_table("deliveries") as batch:
        batch.add_column(sa.Column("event", sa.String(length=16), server_default="opened", nullable=False))
    with op.batch_alter_table("sessions") as batch:
        batch.add_column(sa.Column("id_token", sa.Text(), server_default="", nullable=False))
    with op.batch_alter_table("examinations") as batch:
        batch.add_column(sa.Column("code", sa.String(length=64), server_default="", nullable=False))
        batch.add_column(sa.Column("number", sa.BigInteger(), server_default="0", nullable=False))
        batch.create_index("ix_examinations_code", ["code"], unique=False)
        batch.create_index("ix_examinations_number", ["number"], unique=False)
    _fill_numbers()


def _fill_numbers() -> None:
    """Devices always sent the number; it stood in the document only."""
    connection = op.get_bind()
    number = (
        "CAST(json_extract(document, '$.number') AS INTEGER)"
        if connection.dialect.name == "sqlite"
        else "CAST(document->>'number' AS BIGINT)"
    )
    connection.execute(sa.text(f"UPDATE examinations SET number = COALESCE({number}, 0)"))  # noqa: S608 - one of two constants
