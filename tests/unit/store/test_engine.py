"""SQLite's own side: which URLs are taken, and how readers and writers wait for each other."""

from __future__ import annotations

import sqlite3
import threading
from datetime import datetime
from pathlib import Path

import pytest

from slipway.errors import StoreError
from slipway.store import RunStart, engine, kept_store, open_store
from slipway.store.columns import UtcDateTime
from slipway.store.engine import make_engine, open_engine

START = RunStart("demo", "teardown", "demo.teardown", "r1")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://user:secret@host/store", "mysql is not supported"),
        ("postgresql+asyncpg://user:secret@host/store", "postgresql\\+asyncpg is not supported"),
        ("postgres://user:secret@host/store", "postgres"),
        ("/var/lib/slipway.db", "Could not parse"),
        ("", "Could not parse"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, why: str) -> None:
    with pytest.raises(StoreError, match=rf"\[slipway\] store_url: .*{why}") as caught:
        make_engine(url)
    assert "secret" not in str(caught.value)
    assert "postgresql+psycopg" in caught.value.hint


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/nowhere/slipway.db") as store, pytest.raises(StoreError) as caught:
        store.runs()
    assert f"{tmp_path}/nowhere/slipway.db: OperationalError: unable to open database file" in str(caught.value)
    assert "[slipway] store_url" in caught.value.hint


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://user:secret@/store?host={tmp_path}"
    with open_store(url) as store, pytest.raises(StoreError) as caught:
        store.runs()
    assert "postgresql+psycopg://user:***@/store" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_kept_store_is_opened_once(store_url: str) -> None:
    store = kept_store(store_url)
    run = store.begin_run(START)
    assert kept_store(store_url) is store
    assert store.run_by_id(run).dag_run_id == "r1"


def test_a_reader_does_not_wait_for_a_writer(store_url: str) -> None:
    with open_store(store_url) as store:
        run = store.begin_run(START)
        with open_engine(store_url) as other, other.execution_options(slipway_writes=True).begin():
            assert store.run_by_id(run).dag_run_id == "r1"


def test_a_writer_waits_for_its_turn(store_url: str) -> None:
    with open_store(store_url) as store, open_engine(store_url) as other:
        run = store.begin_run(START)
        holder = other.execution_options(slipway_writes=True).connect()
        transaction = holder.begin()
        writer = threading.Thread(target=store.add_snapshot, args=(run, {"lock": "abc"}))
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        transaction.commit()
        holder.close()
        writer.join(10)
        assert store.run_by_id(run).snapshot == {"lock": "abc"}


def test_a_writer_that_waits_too_long_says_so(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WAIT_S", 0.1)
    with open_store(store_url) as store, open_engine(store_url) as other:
        holder = other.execution_options(slipway_writes=True)
        with holder.begin(), pytest.raises(StoreError, match="database is locked"):
            store.begin_run(START)


def test_the_store_is_in_wal_mode(store_url: str) -> None:
    path = store_url.removeprefix("sqlite:///")
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_time_without_a_zone_is_refused(store_url: str) -> None:
    column = UtcDateTime().bind_processor(make_engine(store_url).dialect)
    assert column
    with pytest.raises(ValueError, match="no time zone"):
        column(datetime(2026, 1, 1))  # noqa: DTZ001


def test_figures_that_are_no_json_are_refused(store_url: str) -> None:
    with open_store(store_url) as store, pytest.raises(StoreError, match="not JSON compliant"):
        store.begin_run(RunStart("demo", "teardown", "demo.teardown", "r1", conf={"rate": float("nan")}))


def test_a_migration_waits_for_one_who_writes_a_file_that_is_not_kept_as_wal_yet(tmp_path: Path) -> None:
    """SQLite itself waits for no lock there, whatever its timeout."""
    path = tmp_path / "store.db"
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(path, timeout=30).execute("PRAGMA journal_mode=WAL")
    done = threading.Timer(0.3, writer.execute, ["COMMIT"])
    done.start()
    with open_engine(f"sqlite:///{path}", migrating=True) as store, store.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    done.join()
