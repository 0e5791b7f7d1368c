"""The store's schema over time: Alembic migrations, run on the store's own URL."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from slipway.store.engine import open_engine, turned_errors

LOCK = 0x51197A7
"""The key of PostgreSQL's advisory lock on migrations; in SQLite the writing transaction is the lock."""
MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "slipway_version"
RELEASES = {"0.1.0": "0008"}
"""The revision that each release of Slipway brought, where it changed."""


def upgrade(url: str, revision: str = "head", *, only_show: bool = False) -> None:
    """Bring the store to ``revision``; ``only_show`` prints the SQL and does nothing."""
    with open_engine(url, migrating=True) as engine, turned_errors(engine):
        command.upgrade(config(engine), revision, sql=only_show)


def downgrade(url: str, revision: str, *, only_show: bool = False) -> None:
    """Take the store back to ``revision``; ``base`` removes every table. ``only_show`` prints the SQL from head on."""
    with open_engine(url, migrating=True) as engine, turned_errors(engine):
        command.downgrade(config(engine), f"head:{revision}" if only_show else revision, sql=only_show)


def current(engine: Engine) -> str | None:
    """The revision that the database is at, None where there is no store yet."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def head() -> str | None:
    """The revision that this version of Slipway needs."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def revisions() -> list[str]:
    """Every revision that this version of Slipway knows, the oldest first."""
    return [each.revision for each in reversed(list(ScriptDirectory(str(MIGRATIONS)).walk_revisions()))]


def config(engine: Engine) -> Config:
    """Alembic's configuration for one engine; there is no ini file, so no URL to escape or to leak."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    settings.attributes["engine"] = engine
    return settings
