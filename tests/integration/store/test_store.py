"""The same tests as on SQLite, on PostgreSQL."""

from unit.store.test_store import *  # noqa: F403
