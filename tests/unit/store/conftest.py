"""The store's tests on SQLite. ``tests/integration/store`` imports the same tests and runs them on PostgreSQL."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slipway.store import schema


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "migrated.db"
    schema.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """A database without a store."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture
def store_url(migrated_file: Path, tmp_path: Path) -> str:
    """A database with an empty store."""
    path = tmp_path / "slipway.db"
    shutil.copy(migrated_file, path)
    return f"sqlite:///{path}"
