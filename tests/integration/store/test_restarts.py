"""The same tests as on SQLite, on PostgreSQL."""

from unit.store.test_restarts import *  # noqa: F403
