"""Cells keep the figures of each time that their level was measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("slipway_cell", sa.Column("repeats", sa.JSON, nullable=True))


def downgrade() -> None:
    op.drop_column("slipway_cell", "repeats")
