"""PostgreSQL's own side: restarts, and waits that end."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from slipway.errors import StoreError
from slipway.store import RunStart, State, Store, engine, open_store, schema
from slipway.store.engine import open_engine

START = RunStart("demo", "teardown", "demo.teardown", "r1")


def test_a_crash_between_two_calls_loses_nothing(cluster: Any, store_url: str) -> None:
    with open_store(store_url) as store:
        run = store.begin_run(START)
        cluster.stop()
        with pytest.raises(StoreError, match="OperationalError"):
            store.run_by_id(run)
        cluster.start()
        assert store.run_by_id(run).state == State.RUNNING


def test_a_kept_connection_that_a_restart_ended_is_made_anew(cluster: Any, store_url: str) -> None:
    with open_engine(store_url, pooled=True) as kept:
        store = Store(kept)
        run = store.begin_run(START)
        cluster.stop()
        cluster.start()
        assert store.run_by_id(run).state == State.RUNNING


def test_a_wait_for_another_writer_ends(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WAIT_S", 1)
    with open_store(store_url) as store, open_engine(store_url) as other, other.begin() as holder:
        run = store.begin_run(START)
        holder.exec_driver_sql(f"SELECT id FROM slipway_run WHERE id = {run} FOR UPDATE")
        began = time.monotonic()
        with pytest.raises(StoreError, match="lock timeout"):
            store.finish_run(run, State.SUCCESS)
        assert time.monotonic() - began < 10


def test_a_migrator_waits_for_another_one(empty_url: str) -> None:
    with open_engine(empty_url) as engine, engine.begin() as other:
        other.exec_driver_sql(f"SELECT pg_advisory_xact_lock({schema.LOCK})")
        migrator = threading.Thread(target=schema.upgrade, args=(empty_url,))
        migrator.start()
        migrator.join(0.5)
        assert migrator.is_alive()
        assert schema.current(engine) is None
        other.rollback()
        migrator.join(30)
        assert schema.current(engine) == schema.head()
