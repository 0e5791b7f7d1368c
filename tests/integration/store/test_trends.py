"""The same tests as on SQLite, on PostgreSQL."""

from unit.store.test_trends import *  # noqa: F403
