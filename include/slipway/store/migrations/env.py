"""Run by Alembic: one transaction for all migrations, one migrator at a time."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, Engine

from slipway.store.engine import WRITES
from slipway.store.models import Base
from slipway.store.schema import LOCK, VERSION_TABLE

OPTIONS: dict[str, Any] = {
    "target_metadata": Base.metadata,
    "version_table": VERSION_TABLE,
    "render_as_batch": True,
    "transactional_ddl": True,
}


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, **OPTIONS)
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        context.run_migrations()


def show(engine: Engine) -> None:
    context.configure(dialect_name=engine.dialect.name, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    show(context.config.attributes["engine"])
else:
    with context.config.attributes["engine"].execution_options(**{WRITES: True}).connect() as opened:
        migrate(opened)
