"""Cells keep a histogram of each metric."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("slipway_cell", sa.Column("histograms", sa.JSON, nullable=True))


def downgrade() -> None:
    op.drop_column("slipway_cell", "histograms")
