"""The same tests as on SQLite, on PostgreSQL."""

from unit.store.test_leases import *  # noqa: F403
