"""Cells keep their rate, latencies from the due time, goodput, what the GPUs did, and series over time.

A run has one cell for each load, which is a number of users or a rate.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSONS = ("goodput", "scheduled", "gpu", "series")
BEFORE = ("run_id", "users")
AFTER = ("run_id", "users", "rate")


def upgrade() -> None:
    op.add_column("slipway_cell", sa.Column("rate", sa.Double, nullable=False, server_default="0"))
    for name in JSONS:
        op.add_column("slipway_cell", sa.Column(name, sa.JSON, nullable=True))
    _change_key(BEFORE, AFTER)


def downgrade() -> None:
    op.execute("DELETE FROM slipway_cell WHERE users = 0")
    _change_key(AFTER, BEFORE)
    for name in ("rate", *JSONS):
        op.drop_column("slipway_cell", name)


def _change_key(old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """SQLite makes the table anew for that; where the SQL is only shown, nothing can be read, so it is told the table."""
    told = _cell(old) if context.is_offline_mode() else None
    with op.batch_alter_table("slipway_cell", copy_from=told) as table:
        table.drop_constraint(f"uq_slipway_cell_{'_'.join(old)}", type_="unique")
        table.create_unique_constraint(f"uq_slipway_cell_{'_'.join(new)}", list(new))


def _cell(key: tuple[str, ...]) -> sa.Table:
    """The table as it is between its new columns and its new key."""
    texts, whole, exact = ("validity", "artifacts"), ("users", "processes", "try_number"), ("rate", "spawn_rate")
    counts, rates = ("requests", "prompt_tokens", "output_tokens"), ("window_s", "requests_per_s", "output_tokens_per_s")
    jsons = ("errors", "reasons", "client", "server")
    kinds: dict[str, Any] = {}
    kinds |= dict.fromkeys(texts, sa.Text) | dict.fromkeys(whole, sa.Integer) | dict.fromkeys(exact + rates, sa.Double)
    kinds |= dict.fromkeys(counts, sa.BigInteger) | dict.fromkeys(jsons, sa.JSON)
    return sa.Table(
        "slipway_cell",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("slipway_run.id", ondelete="CASCADE"), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("revision_id", sa.String(12), sa.ForeignKey("slipway_revision.id"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, kind, nullable=False) for name, kind in kinds.items()),
        *(sa.Column(name, sa.JSON, nullable=True) for name in ("histograms", *JSONS)),
        *(column for metric in ("ttft", "itl", "tpot", "e2e") for column in _distribution(metric)),
        sa.UniqueConstraint(*key, name=f"uq_slipway_cell_{'_'.join(key)}"),
    )


def _distribution(metric: str) -> list[sa.Column[float]]:
    figures = ("mean", "min", "p50", "p90", "p95", "p99", "max")
    return [
        sa.Column(f"{metric}_count", sa.BigInteger, nullable=True),
        *(sa.Column(f"{metric}_{figure}", sa.Double, nullable=True) for figure in figures),
    ]
