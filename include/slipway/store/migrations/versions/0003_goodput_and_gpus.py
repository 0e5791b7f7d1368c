"""Cells keep their goodput, what the GPUs did, and series over time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("slipway_cell", sa.Column("goodput", sa.JSON, nullable=True))
    for name in ("gpu", "series"):
        op.add_column("slipway_cell", sa.Column(name, sa.JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    for name in ("goodput", "gpu", "series"):
        op.drop_column("slipway_cell", name)
