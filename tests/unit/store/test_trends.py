"""A deployment over time, on whichever database ``store_url`` names; and that no query of the page's reads all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event

from slipway.results import Distribution, Measurement, Validity
from slipway.spec import DeploymentSpec
from slipway.store import RunStart, State, Store
from slipway.store.engine import open_engine

SPEC = DeploymentSpec.model_validate(
    {
        "version": 1,
        "name": "a",
        "hosts": [{"name": "head", "address": "10.0.0.1"}],
        "environment": {"lock": "cpu"},
        "weights": {"source": "/models/small", "name": "small"},
        "serve": {"model_name": "small"},
        "benchmark": {"levels": [{"users": 10}]},
    },
    strict=False,
)
TTFT = Distribution(count=3, mean=0.2, minimum=0.1, p50=0.2, p90=0.3, p95=0.4, p99=0.5, maximum=0.6)
MEASURED = Measurement(
    users=10,
    spawn_rate=1.0,
    processes=1,
    started_at=1_760_000_000.5,
    window_s=60.0,
    requests=3,
    errors={},
    prompt_tokens=30,
    output_tokens=60,
    requests_per_s=0.05,
    output_tokens_per_s=1.0,
    ttft=TTFT,
    itl=None,
    tpot=None,
    e2e=TTFT,
)


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    with open_engine(store_url) as engine:
        yield engine


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)


def begin(store: Store, dag_run_id: str, *, seed: int = 0, name: str = "a", rehearsal: bool = False) -> int:
    spec = SPEC.model_copy(update={"name": name, "description": str(seed), "rehearsal": rehearsal})
    start = RunStart(name, "deploy", f"{name}.deploy", dag_run_id, store.save_revision(spec), rehearsal)
    return store.begin_run(start)


def measure(store: Store, run_id: int, *users: int, **figures: Any) -> None:
    for level in users:
        store.record_cell(run_id, replace(MEASURED, users=level, output_tokens_per_s=float(level), **figures), "/rows")


def test_steps_are_the_last_runs_oldest_first(store: Store) -> None:
    first, second, third = (begin(store, f"r{number}") for number in range(3))
    begin(store, "r0", name="b")
    store.finish_run(second, State.SUCCESS, "same", "within 5 %")
    assert [step.id for step in store.steps("a")] == [first, second, third]
    assert [step.id for step in store.steps("a", limit=2)] == [second, third]
    assert (store.steps("a")[1].verdict, store.steps("a")[1].verdict_reason) == ("same", "within 5 %")


def test_a_step_knows_what_its_last_good_try_of_ready_found(store: Store) -> None:
    run_id = begin(store, "r0")
    for try_number, seconds in enumerate((9.0, 5.0), start=1):
        stage = store.begin_stage(run_id, "ready", try_number=try_number)
        store.finish_stage(stage, detail={"time_to_ready_s": seconds})
    store.fail_stage(store.begin_stage(run_id, "ready", try_number=3), "died")
    begin(store, "r1")
    assert [step.ready for step in store.steps("a")] == [{"time_to_ready_s": 5.0}, None]


def test_a_step_knows_the_versions_that_served(store: Store) -> None:
    run_id = begin(store, "r0")
    versions = {"vllm": "0.32.0", "ray": "2.60.0", "driver": "580.159.04", "python": "3.12.1", "cuda": None}
    store.add_snapshot(run_id, {"versions": versions})
    begin(store, "r1")
    served = {"vllm": "0.32.0", "ray": "2.60.0", "driver": "580.159.04"}
    assert [step.versions for step in store.steps("a")] == [served, {}]


def test_the_baseline_is_the_good_revision_that_was_there_before(store: Store) -> None:
    ids = []
    for seed in range(4):
        run_id = begin(store, f"r{seed}", seed=seed)
        ids.append(str(store.run_by_id(run_id).revision_id))
        store.finish_run(run_id, State.FAILED if seed == 2 else State.SUCCESS)
        if seed == 1:
            store.promote(run_id, ids[1])
    assert store.baseline("a", ids[3]) == ids[1]
    assert store.baseline("a", ids[1]) == ids[3]
    assert store.baseline("b", ids[0]) is None


def test_earlier_runs_are_good_ones_of_the_same_kind_that_measured(store: Store) -> None:
    runs = [begin(store, f"r{number}", seed=number) for number in range(4)]
    rehearsed, silent, last = begin(store, "r4", rehearsal=True), begin(store, "r5"), begin(store, "r6")
    for run_id in (*runs, rehearsed):
        measure(store, run_id, 2)
        store.finish_run(run_id, State.FAILED if run_id == runs[1] else State.SUCCESS)
    store.finish_run(silent, State.SUCCESS)
    assert store.earlier_runs(last) == [runs[3], runs[2], runs[0]]
    assert store.earlier_runs(last, limit=1) == [runs[3]]


def test_points_are_the_figures_of_the_asked_runs_by_load(store: Store) -> None:
    first, other = begin(store, "r0", rehearsal=True), begin(store, "r1")
    measure(store, first, 8, 2)
    measure(store, other, 2)
    measure(store, first, 0, rate=12.5)
    open_loop, *points = store.points([first])
    assert [(point.run_id, point.users, point.rehearsal) for point in points] == [(first, 2, True), (first, 8, True)]
    assert (open_loop.users, open_loop.rate, points[0].rate) == (0, 12.5, 0.0)
    assert (points[0].ttft_p50, points[0].ttft_p95, points[0].ttft_p99, points[0].itl_p50) == (0.2, 0.4, 0.5, None)
    assert (points[0].started_at.timestamp(), points[0].validity) == (1_760_000_000.5, "valid")


def test_points_of_a_revision_that_the_run_had_before_are_left_out(store: Store) -> None:
    run_id = begin(store, "r0", seed=1)
    measure(store, run_id, 2)
    assert begin(store, "r0", seed=2) == run_id
    assert store.points([run_id]) == []


def test_points_of_a_revision_come_newest_first_up_to_the_limit(store: Store) -> None:
    runs = [begin(store, f"r{number}", seed=number // 2) for number in range(4)]
    for number, run_id in enumerate(runs):
        measure(store, run_id, 2, started_at=MEASURED.started_at + number)
    revision = store.run_by_id(runs[0]).revision_id
    assert revision
    assert [point.run_id for point in store.points_of_revision("a", revision)] == [runs[1], runs[0]]
    assert [point.run_id for point in store.points_of_revision("a", revision, limit=1)] == [runs[1]]
    assert store.points_of_revision("b", revision) == []


def test_peaks_are_the_highest_throughput_of_each_run_that_measured(store: Store) -> None:
    first, _silent, third = (begin(store, f"r{number}") for number in range(3))
    measure(store, first, 2, 8)
    measure(store, first, 64, validity=Validity.INVALID)
    measure(store, third, 4)
    assert [(peak.run_id, peak.output_tokens_per_s) for peak in store.peaks(["a"])["a"]] == [(first, 8.0), (third, 4.0)]
    assert [peak.run_id for peak in store.peaks(["a"], limit=2)["a"]] == [third]
    assert store.peaks(["b"]) == {"b": []}


def test_revisions_come_newest_first_with_their_spec(store: Store) -> None:
    ids = [store.run_by_id(begin(store, f"r{seed}", seed=seed)).revision_id for seed in range(3)]
    begin(store, "r0", name="b")
    revisions = store.revisions("a")
    assert [revision.id for revision in revisions] == ids[::-1]
    assert [revision.spec["description"] for revision in revisions] == ["2", "1", "0"]
    assert [revision.id for revision in store.revisions("a", limit=1)] == ids[2:]
    assert store.revisions_by_id([revisions[1].id, "absent"]) == {revisions[1].id: revisions[1]}


QUERIES: dict[str, Callable[[Store], Any]] = {
    "deployments": lambda store: store.deployments(),
    "runs": lambda store: store.runs("a"),
    "run": lambda store: store.run("a.deploy", "r1"),
    "runs_by_id": lambda store: store.runs_by_id([1, 2]),
    "stages": lambda store: store.stages(1),
    "smoke": lambda store: store.smoke(1),
    "cells": lambda store: store.cells(1),
    "steps": lambda store: store.steps("a"),
    "points": lambda store: store.points([1, 2, 3]),
    "points_of_revision": lambda store: store.points_of_revision("a", "0123456789ab"),
    "peaks": lambda store: store.peaks(["a", "b"]),
    "revisions": lambda store: store.revisions("a"),
    "baseline": lambda store: store.baseline("a", "0123456789ab"),
    "earlier_runs": lambda store: store.earlier_runs(1),
    "revisions_by_id": lambda store: store.revisions_by_id(["0123456789ab"]),
}
"""All that the page asks of the store."""


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_reads_all_rows(store: Store, engine: Engine, name: str) -> None:
    for number in range(20):
        measure(store, begin(store, f"r{number}", name="ab"[number % 2]), 2, 8)
    plans = plans_of(engine, lambda: QUERIES[name](store))
    assert plans
    assert [line for line in plans if line.startswith("SCAN slipway_") or "Seq Scan on slipway_" in line] == []


def test_a_query_that_reads_all_rows_would_be_seen(store: Store, engine: Engine) -> None:
    def read_all() -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT reason FROM slipway_run").all()

    assert any("SCAN slipway_run" in line or "Seq Scan on slipway_run" in line for line in plans_of(engine, read_all))


def plans_of(engine: Engine, ask: Callable[[], Any]) -> list[str]:
    """The plans of all queries of ``ask``, by line. PostgreSQL is made to read all rows only where no index serves."""
    said: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            said.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    ask()
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")
        explain = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        rows = [row for said_so in said for row in connection.exec_driver_sql(explain + said_so[0], said_so[1])]
    return [str(row[-1]) for row in rows]
