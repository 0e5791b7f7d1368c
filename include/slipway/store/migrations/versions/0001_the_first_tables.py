"""The first tables: revisions, runs, stages, smoke checks, cells, leases, what is current."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _locks()
    _revisions()
    _runs()
    _stages()
    _smoke_checks()
    _cells()
    _leases()
    _current()


def downgrade() -> None:
    for table in ("current", "lease", "cell", "smoke_check", "stage", "run", "revision", "lock"):
        op.drop_table(f"slipway_{table}")


def _locks() -> None:
    op.create_table(
        "slipway_lock",
        sa.Column("digest", sa.String(12), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_slipway_lock"),
    )


def _revisions() -> None:
    op.create_table(
        "slipway_revision",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("lock_digest", sa.String(12), nullable=False),
        sa.Column("workload", sa.String(12), nullable=False),
        sa.Column("rehearsal", sa.Boolean, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_slipway_revision"),
        sa.ForeignKeyConstraint(
            ["lock_digest"], ["slipway_lock.digest"], name="fk_slipway_revision_lock_digest"
        ),
    )
    op.create_index("ix_slipway_revision_deployment", "slipway_revision", ["deployment"])


def _runs() -> None:
    op.create_table(
        "slipway_run",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("revision_id", sa.String(12), nullable=True),
        sa.Column("job", sa.String(32), nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("dag_run_id", sa.String(250), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("conf", sa.JSON, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("snapshot", sa.JSON, nullable=False),
        sa.Column("verdict", sa.String(32), nullable=True),
        sa.Column("verdict_reason", sa.Text, nullable=False),
        sa.Column("rehearsal", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["revision_id"], ["slipway_revision.id"], name="fk_slipway_run_revision_id"),
        sa.PrimaryKeyConstraint("id", name="pk_slipway_run"),
        sa.UniqueConstraint("dag_id", "dag_run_id", name="uq_slipway_run_dag_id_dag_run_id"),
    )
    op.create_index("ix_slipway_run_deployment_started_at", "slipway_run", ["deployment", "started_at"])
    op.create_index("ix_slipway_run_revision_id", "slipway_run", ["revision_id"])
    op.create_index("ix_slipway_run_started_at", "slipway_run", ["started_at"])


def _stages() -> None:
    op.create_table(
        "slipway_stage",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(250), nullable=False),
        sa.Column("map_index", sa.Integer, nullable=False),
        sa.Column("try_number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("seconds", sa.Double, nullable=True),
        sa.Column("actions", sa.Integer, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["slipway_run.id"], name="fk_slipway_stage_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_slipway_stage"),
        sa.UniqueConstraint(
            "run_id", "name", "map_index", "try_number", name="uq_slipway_stage_run_id_name_map_index_try_number"
        ),
    )


def _smoke_checks() -> None:
    op.create_table(
        "slipway_smoke_check",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("transcript", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["slipway_run.id"], name="fk_slipway_smoke_check_run_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_slipway_smoke_check"),
        sa.UniqueConstraint("run_id", "name", name="uq_slipway_smoke_check_run_id_name"),
    )


def _cells() -> None:
    op.create_table(
        "slipway_cell",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("revision_id", sa.String(12), nullable=False),
        sa.Column("users", sa.Integer, nullable=False),
        sa.Column("spawn_rate", sa.Double, nullable=False),
        sa.Column("processes", sa.Integer, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("window_s", sa.Double, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.JSON, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("requests_per_s", sa.Double, nullable=False),
        sa.Column("output_tokens_per_s", sa.Double, nullable=False),
        *(column for metric in ("ttft", "itl", "tpot", "e2e") for column in _distribution(metric)),
        sa.Column("validity", sa.String(16), nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("client", sa.JSON, nullable=False),
        sa.Column("server", sa.JSON, nullable=False),
        sa.Column("artifacts", sa.Text, nullable=False),
        sa.Column("try_number", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["slipway_run.id"], name="fk_slipway_cell_run_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["revision_id"], ["slipway_revision.id"], name="fk_slipway_cell_revision_id"),
        sa.PrimaryKeyConstraint("id", name="pk_slipway_cell"),
        sa.UniqueConstraint("run_id", "users", name="uq_slipway_cell_run_id_users"),
    )
    for key in ("users", "revision_id"):
        columns = ["deployment", key, "started_at"]
        op.create_index(f"ix_slipway_cell_{'_'.join(columns)}", "slipway_cell", columns)


def _distribution(metric: str) -> list[sa.Column[float]]:
    figures = ("mean", "min", "p50", "p90", "p95", "p99", "max")
    return [
        sa.Column(f"{metric}_count", sa.BigInteger, nullable=True),
        *(sa.Column(f"{metric}_{figure}", sa.Double, nullable=True) for figure in figures),
    ]


def _leases() -> None:
    op.create_table(
        "slipway_lease",
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["slipway_run.id"], name="fk_slipway_lease_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("host", name="pk_slipway_lease"),
    )
    op.create_index("ix_slipway_lease_run_id", "slipway_lease", ["run_id"])


def _current() -> None:
    op.create_table(
        "slipway_current",
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("revision_id", sa.String(12), nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["revision_id"], ["slipway_revision.id"], name="fk_slipway_current_revision_id"),
        sa.ForeignKeyConstraint(["run_id"], ["slipway_run.id"], name="fk_slipway_current_run_id"),
        sa.PrimaryKeyConstraint("deployment", name="pk_slipway_current"),
    )
