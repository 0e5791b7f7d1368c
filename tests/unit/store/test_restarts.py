"""Restarts: each is one row, however many runs see it, on whichever database ``store_url`` names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from slipway.store import Restart, RunStart, Store, open_store

FIRST = Restart("one", "demo.vllm", datetime(2026, 11, 24, 8, 0, 0, 250000, tzinfo=UTC), "signal", "signal 9")
SECOND = replace(FIRST, at=FIRST.at + timedelta(minutes=1), cause="wedged", reason="the engine hangs")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with open_store(store_url) as store:
        yield store


def test_a_restart_is_kept_once_with_the_run_that_saw_it_first(store: Store) -> None:
    one, two = (store.begin_run(RunStart("demo", "benchmark", "demo.benchmark", name)) for name in ("r1", "r2"))
    store.record_restarts(one, [FIRST])
    store.record_restarts(two, [FIRST, SECOND])
    assert store.restarts("demo") == [SECOND, FIRST]
    assert store.restarts("demo", limit=1) == [SECOND]
    assert (store.restarts_of_run(one), store.restarts_of_run(two)) == ([FIRST], [SECOND])
    assert store.restarts("other") == []
