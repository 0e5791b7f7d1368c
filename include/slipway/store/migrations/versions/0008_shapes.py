"""Cells keep the shape of their load: a run has one cell for each load, which is users or a rate, and a shape."""

from __future__ import annotations

from importlib import import_module

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BEFORE = ("run_id", "users", "rate")
AFTER = (*BEFORE, "shape")


def upgrade() -> None:
    op.add_column("slipway_cell", sa.Column("shape", sa.String(500), nullable=False, server_default=sa.text("''")))
    _change_key(BEFORE, AFTER)


def downgrade() -> None:
    op.execute("DELETE FROM slipway_cell WHERE shape <> ''")
    _change_key(AFTER, BEFORE)
    op.drop_column("slipway_cell", "shape")


def _change_key(old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """SQLite makes the table anew for that; where the SQL is only shown, nothing can be read, so it is told the table."""
    told = _cell(old) if context.is_offline_mode() else None
    with op.batch_alter_table("slipway_cell", copy_from=told) as table:
        table.drop_constraint(f"uq_slipway_cell_{'_'.join(old)}", type_="unique")
        table.create_unique_constraint(f"uq_slipway_cell_{'_'.join(new)}", list(new))


def _cell(key: tuple[str, ...]) -> sa.Table:
    """The table between its new column and its new key: as migration 0003 told it, and what came after."""
    before: sa.Table = import_module("slipway.store.migrations.versions.0003_what_cells_state")._cell(BEFORE)
    before.append_column(sa.Column("repeats", sa.JSON, nullable=True))
    before.append_column(sa.Column("shape", sa.String(500), nullable=False, server_default=sa.text("''")))
    before.constraints = {each for each in before.constraints if not isinstance(each, sa.UniqueConstraint)}
    before.append_constraint(sa.UniqueConstraint(*key, name=f"uq_slipway_cell_{'_'.join(key)}"))
    return before
