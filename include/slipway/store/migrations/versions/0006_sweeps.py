"""The points of sweeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("slipway_run", sa.Column("point", sa.String(12), nullable=True))
    op.create_index("ix_slipway_run_deployment_point", "slipway_run", ["deployment", "point"])
    op.create_table(
        "slipway_point",
        sa.Column("sweep_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("loads", sa.JSON, nullable=False),
        sa.Column("digest", sa.String(12), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=True),
        sa.ForeignKeyConstraint(
            ["sweep_id"], ["slipway_run.id"], name="fk_slipway_point_sweep_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["slipway_run.id"], name="fk_slipway_point_run_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("sweep_id", "number", name="pk_slipway_point"),
    )


def downgrade() -> None:
    op.drop_table("slipway_point")
    op.drop_index("ix_slipway_run_deployment_point", table_name="slipway_run")
    op.drop_column("slipway_run", "point")
