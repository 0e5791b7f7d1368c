"""The verdict of a run, as its task makes it from the store."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from itertools import count

import pytest
from testbed.measured import measured

from slipway.errors import SpecError, StoreError
from slipway.operators import benchmark
from slipway.operators.benchmark import BenchmarkOperator, VerdictOperator
from slipway.operators.recording import Recording
from slipway.operators.resolve import ResolveOperator
from slipway.store import State

MEASURED = measured()
HERE = {"hardware": "127.0.0.2: 2 x AMD EPYC", "versions": {"vllm": "0.32.0"}}


@pytest.fixture
def run(store, make_context):
    """Runs a deploy of one level from its first task to its verdict, and answers it as it is stored."""
    numbers = count()

    def run(tokens_per_s: float = 1000, snapshot=HERE, start_s: float | None = None):
        context = make_context(run_id=f"r{next(numbers)}", conf={"users": [1]})
        ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
        begun = store.runs("demo")[0]
        store.add_snapshot(begun.id, snapshot)
        if start_s is not None:
            store.finish_stage(store.begin_stage(begun.id, "serve"), actions=1)
            store.finish_stage(store.begin_stage(begun.id, "ready"), detail={"time_to_ready_s": start_s})
        at = begun.started_at.timestamp() + 1e-4
        store.record_cell(begun.id, replace(MEASURED, output_tokens_per_s=tokens_per_s, started_at=at), "/a")
        result = VerdictOperator(task_id="verdict").execute(context)
        store.finish_run(begun.id, State.SUCCESS)
        found = store.run_by_id(begun.id)
        assert (result["verdict"], result["reason"]) == (found.verdict, found.verdict_reason)
        assert (result["endpoint"], result["run_id"]) == ("http://127.0.0.1:28000", begun.id)
        return found

    return run


def test_a_run_is_held_against_the_runs_before_it(run):
    assert [run().verdict for _ in range(4)] == ["not enough history"] * 3 + ["same"]
    worse = run(700, {**HERE, "versions": {"vllm": "0.33.0"}})
    assert worse.verdict == "worse"
    assert worse.verdict_reason == (
        "throughput at 1 users -30.0 % (700 tokens/s, else 1000); may explain it: vllm 0.32.0 -> 0.33.0"
    )


def test_other_hardware_is_not_comparable(run):
    for _ in range(3):
        run()
    moved = run(snapshot={**HERE, "hardware": "127.0.0.2: 64 x AMD EPYC"})
    assert moved.verdict == "not comparable"
    assert "accelerator 127.0.0.2: 2 x AMD EPYC then, 127.0.0.2: 64 x AMD EPYC now" in moved.verdict_reason


def test_a_slower_start_is_worse(run):
    for _ in range(3):
        run(start_s=60)
    assert run(start_s=90).verdict == "worse"
    assert run().verdict == "same"


def test_every_comparison_is_kept_with_the_stage(run, store):
    for _ in range(3):
        run()
    [stage] = [stage for stage in store.stages(run().id) if stage.name == "verdict"]
    assert stage.detail["verdict"] == "same"
    assert stage.detail["compared"][0] == "throughput at 1 users +0.0 % (1000 tokens/s, else 1000)"
    assert len(stage.detail["compared"]) == 4


def test_what_was_measured_waits_for_a_database_that_is_away(store, make_context, monkeypatch):
    """It is measured once and stored once."""
    monkeypatch.setattr(benchmark, "ASK_DATABASE_EVERY_S", 0.01)
    context = make_context(conf={"users": [1]})
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
    run = store.runs("demo")[0]
    recording = Recording(store, run.id, run.revision_id, store.spec(run.revision_id), store.lock(run.revision_id))
    operator, measured, tries = BenchmarkOperator(task_id="benchmark", load="1 users"), [], count(1)

    def measure(spec, level, folder):
        measured.append(level.users)
        return MEASURED

    def record(*told, **more):
        if next(tries) < 3:
            raise StoreError("the database is away")
        return type(store).record_cell(store, *told, **more)

    monkeypatch.setattr(operator, "_measured", measure, raising=True)
    monkeypatch.setattr(store, "record_cell", record)
    operator.carry_out(recording, 1)
    assert measured == [1]
    assert [cell.measurement.users for cell in store.cells(run.id)] == [1]

    def away(*told, **more):
        raise StoreError("the database is away")

    monkeypatch.setattr(store, "record_cell", away)
    monkeypatch.setattr(benchmark, "DATABASE_PATIENCE_S", 0.0)
    with pytest.raises(StoreError):
        operator.carry_out(recording, 2)


def test_rows_of_runs_long_past_are_removed_where_the_load_was_made(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SLIPWAY__ARTIFACTS_FOLDER", str(tmp_path))
    for name, written_at in (("run-1", 0), ("run-2", time.time())):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, times=(written_at, written_at))
    operator = BenchmarkOperator(task_id="benchmark", load="1 users")
    operator._age_out()
    assert {path.name for path in tmp_path.iterdir()} == {"run-1", "run-2"}
    monkeypatch.setenv("AIRFLOW__SLIPWAY__KEEP_ROWS_DAYS", "30")
    operator._age_out()
    assert {path.name for path in tmp_path.iterdir()} == {"run-2"}
    monkeypatch.setenv("AIRFLOW__SLIPWAY__KEEP_ROWS_DAYS", "a month")
    with pytest.raises(SpecError, match="'a month' is no number of days"):
        operator._age_out()
