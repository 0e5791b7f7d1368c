"""The store as a database that Airflow cares for: `airflow db migrate` and `airflow db check-migrations` reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.utils.db_manager import BaseDBManager

from slipway.hooks.settings import store_url
from slipway.store import schema
from slipway.store.engine import make_engine, open_engine, turned_errors
from slipway.store.models import Base

if TYPE_CHECKING:
    from alembic.config import Config


class SlipwayDBManager(BaseDBManager):
    """Migrates the store at ``[slipway] store_url``, never Airflow's own database, and only ever by migrations.

    The tables stay through ``airflow db reset``: they are the history of measurements.
    """

    metadata = Base.metadata
    migration_dir = str(schema.MIGRATIONS)
    version_table_name = schema.VERSION_TABLE
    supports_table_dropping = False
    revision_heads_map = schema.RELEASES

    def get_alembic_config(self) -> Config:
        return schema.config(make_engine(store_url(), migrating=True))

    def get_current_revision(self) -> str | None:
        with open_engine(store_url()) as engine, turned_errors(engine):
            return schema.current(engine)

    def initdb(self, use_migration_files: bool = False) -> None:
        self.upgradedb()

    def upgradedb(
        self,
        to_revision: str | None = None,
        from_revision: str | None = None,
        show_sql_only: bool = False,
        use_migration_files: bool = False,
    ) -> None:
        schema.upgrade(store_url(), to_revision or "head", only_show=show_sql_only)

    def downgrade(self, to_revision: str, from_revision: str | None = None, show_sql_only: bool = False) -> None:
        schema.downgrade(store_url(), to_revision, only_show=show_sql_only)
