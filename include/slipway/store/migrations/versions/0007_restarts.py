"""Servers that the agents started again, with the cause."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "slipway_restart",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("host", sa.String(63), nullable=False),
        sa.Column("role", sa.String(128), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.String(63), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["slipway_run.id"], name="fk_slipway_restart_run_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_slipway_restart"),
        sa.UniqueConstraint("deployment", "host", "role", "at", name="uq_slipway_restart_deployment_host_role_at"),
    )
    op.create_index("ix_slipway_restart_run_id", "slipway_restart", ["run_id"])


def downgrade() -> None:
    op.drop_table("slipway_restart")
