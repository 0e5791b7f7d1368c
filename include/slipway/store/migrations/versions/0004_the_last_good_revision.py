"""The last good revision of each deployment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PROMOTE_WHAT_SERVES = """
    INSERT INTO slipway_promoted (deployment, revision_id, run_id, since)
    SELECT c.deployment, c.revision_id, c.run_id, c.since
    FROM slipway_current c JOIN slipway_run r ON r.id = c.run_id
    WHERE c.state = 'serving' AND r.state = 'success'
"""


def upgrade() -> None:
    op.create_table(
        "slipway_promoted",
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("revision_id", sa.String(12), nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["revision_id"], ["slipway_revision.id"], name="fk_slipway_promoted_revision_id"),
        sa.ForeignKeyConstraint(["run_id"], ["slipway_run.id"], name="fk_slipway_promoted_run_id"),
        sa.PrimaryKeyConstraint("deployment", name="pk_slipway_promoted"),
    )
    op.execute(PROMOTE_WHAT_SERVES)


def downgrade() -> None:
    op.drop_table("slipway_promoted")
