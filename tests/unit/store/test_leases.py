"""Leases: of several runs one holds a host, on whichever database ``store_url`` names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from slipway.errors import StoreError
from slipway.store import RunStart, State, Store, open_store

HOSTS = ("10.0.0.1", "10.0.0.2")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with open_store(store_url) as store:
        yield store


def begin(store: Store, name: str, deployment: str = "demo") -> int:
    return store.begin_run(RunStart(deployment, "deploy", f"{deployment}.deploy", name))


def test_a_lease_is_seen_until_it_is_given_back(store: Store) -> None:
    run = begin(store, "r1")
    store.take_lease(run, reversed(HOSTS), "deploy", 60)
    found = store.leases()
    assert [(lease.host, lease.deployment, lease.run_id, lease.purpose) for lease in found] == [
        (host, "demo", run, "deploy") for host in HOSTS
    ]
    assert timedelta(seconds=30) < found[0].until - datetime.now(UTC) <= timedelta(seconds=60)
    store.release_lease(run)
    assert store.leases() == []


def test_a_held_host_names_its_holder(store: Store) -> None:
    holder, other = begin(store, "r1"), begin(store, "r1", "other")
    store.take_lease(holder, ["10.0.0.2"], "benchmark", 60)
    with pytest.raises(StoreError, match=rf"host 10\.0\.0\.2 is held by run {holder} of demo for benchmark until"):
        store.take_lease(other, HOSTS, "deploy", 60)
    assert [lease.run_id for lease in store.leases()] == [holder]


def test_the_holder_prolongs(store: Store) -> None:
    run = begin(store, "r1")
    store.take_lease(run, HOSTS, "deploy", 60)
    store.take_lease(run, HOSTS, "benchmark", 600)
    assert {lease.purpose for lease in store.leases()} == {"benchmark"}
    assert min(lease.until for lease in store.leases()) > datetime.now(UTC) + timedelta(seconds=300)


def test_an_expired_lease_is_taken_over(store: Store) -> None:
    crashed, other = begin(store, "r1"), begin(store, "r2")
    store.take_lease(crashed, HOSTS, "deploy", 0.01)
    time.sleep(0.02)
    assert store.leases() == []
    store.take_lease(other, HOSTS, "deploy", 60)
    store.release_lease(crashed)
    assert {lease.run_id for lease in store.leases()} == {other}


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILED])
def test_the_end_of_a_run_gives_its_hosts_back(store: Store, state: State) -> None:
    run, other = begin(store, "r1"), begin(store, "r2")
    store.take_lease(run, HOSTS[:1], "deploy", 60)
    store.take_lease(other, HOSTS[1:], "deploy", 60)
    store.finish_run(run, state)
    assert {lease.run_id for lease in store.leases()} == {other}


def test_a_run_that_has_ended_keeps_nobody_away(store: Store) -> None:
    ended, other = begin(store, "r1"), begin(store, "r2")
    store.finish_run(ended, State.FAILED)
    store.take_lease(ended, HOSTS, "deploy", 60)
    assert store.leases() == []
    store.take_lease(other, HOSTS, "deploy", 60)
    assert {lease.run_id for lease in store.leases()} == {other}


def test_a_cleared_task_has_its_run_hold_the_hosts_again(store: Store) -> None:
    run, other = begin(store, "r1"), begin(store, "r2")
    store.finish_run(run, State.FAILED)
    store.begin_stage(run, "serve", try_number=2)
    assert (store.run_by_id(run).state, store.run_by_id(run).ended_at) == (State.RUNNING, None)
    store.take_lease(run, HOSTS, "deploy", 60)
    with pytest.raises(StoreError, match=f"held by run {run}"):
        store.take_lease(other, HOSTS, "deploy", 60)


def test_what_is_prolonged_is_what_the_run_still_holds(store: Store) -> None:
    late, other = begin(store, "r1"), begin(store, "r2")
    store.take_lease(late, HOSTS, "deploy", 0.01)
    time.sleep(0.02)
    store.take_lease(other, HOSTS[:1], "deploy", 60)
    store.prolong_lease(late, 600)
    held = {lease.host: lease for lease in store.leases()}
    assert {host: lease.run_id for host, lease in held.items()} == {HOSTS[0]: other, HOSTS[1]: late}
    soon = datetime.now(UTC) + timedelta(seconds=300)
    assert held[HOSTS[0]].until < soon < held[HOSTS[1]].until


def test_of_many_takers_one_wins(store: Store) -> None:
    runs = [begin(store, f"r{number}") for number in range(8)]

    def take(run: int) -> str:
        try:
            store.take_lease(run, HOSTS, "deploy", 60)
        except StoreError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(take, runs))
    assert answers.count("") == 1
    winner = runs[answers.index("")]
    assert [lease.run_id for lease in store.leases()] == [winner, winner]
    assert all(f"held by run {winner}" in answer for answer in answers if answer)
