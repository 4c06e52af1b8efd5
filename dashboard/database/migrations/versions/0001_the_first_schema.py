"""The first schema: where databases of before stand; a new one is made whole, see `migrate`."""

from __future__ import annotations

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: every database that has a revision has these tables."""
