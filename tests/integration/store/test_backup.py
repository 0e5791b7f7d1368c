"""Some of the same tests as on SQLite, on PostgreSQL; and from one database to the other."""

from pathlib import Path

from unit.store.test_backup import (
    contents,
    filled,
    saved,  # noqa: F401
    test_a_store_with_rows_is_overwritten_only_by_force,  # noqa: F401
    test_the_restored_store_goes_on_with_new_ids,  # noqa: F401
)

from slipway.store import backup


def test_results_move_from_postgresql_to_sqlite_and_back(store_url: str, tmp_path: Path) -> None:
    sqlite = f"sqlite:///{tmp_path / 'there.db'}"
    filled(store_url)
    before = contents(store_url)
    backup.backup(store_url, tmp_path / "first")
    backup.restore(sqlite, tmp_path / "first")
    assert contents(sqlite) == before
    backup.backup(sqlite, tmp_path / "second")
    backup.restore(store_url, tmp_path / "second", force=True)
    assert contents(store_url) == before
