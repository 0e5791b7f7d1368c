"""The same tests as on SQLite, on PostgreSQL."""

from unit.store.test_deployments import *  # noqa: F403
