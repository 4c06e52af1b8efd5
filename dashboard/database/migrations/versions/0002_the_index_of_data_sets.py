"""The index of data sets"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
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
