"""The same tests as on SQLite, on PostgreSQL."""

from unit.store.test_schema import *  # noqa: F403
