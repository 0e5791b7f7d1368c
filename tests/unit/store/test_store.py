"""What the store promises, on whichever database ``store_url`` names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from testbed.measured import UNEVEN, uneven

from slipway.errors import StoreError
from slipway.results import Distribution, Goodput, Histogram, Measurement, Validity
from slipway.spec import DeploymentSpec, revision_id
from slipway.store import RunStart, SmokeCheck, State, Store, open_store
from slipway.store.runs import LOST

PARTS: dict[str, Any] = {
    "version": 1,
    "name": "demo",
    "hosts": [{"name": "head", "address": "10.0.0.1", "gpus": 2}],
    "environment": {"lock": "cpu"},
    "weights": {"source": "/models/small", "name": "small"},
    "serve": {"model_name": "small"},
    "benchmark": {"levels": [{"users": 10}]},
}
START = RunStart(deployment="demo", job="deploy", dag_id="demo.deploy", dag_run_id="r1")
MEASURED = uneven(
    output_tokens=40_960,
    tpot=replace(UNEVEN, mean=0.03),
    e2e=replace(UNEVEN, count=2**40),
    client={"cpu_share": 0.12},
    server={"generation_tokens": 40_961.0},
    histograms={"ttft": Histogram(-23, (600, 0, 40))},
    scheduled={"ttft": replace(UNEVEN, p99=0.7)},
    goodput=Goodput({"ttft_s": 0.5}, requests=600, share=0.9375, requests_per_s=3.3),
    repeats={"output_tokens_per_s": [227.5, 230.25]},
    gpu={"power_w": 5600.5, "cost_per_million_tokens": 3.25},
    series={"server": {"at_s": [0.0, 1.5], "running": [10.0, 9.0]}},
)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with open_store(store_url) as store:
        yield store


def spec(**changes: Any) -> DeploymentSpec:
    return DeploymentSpec.model_validate({**PARTS, **changes}, strict=False)


def begin(store: Store, name: str = "r1", wanted: DeploymentSpec | None = None, **changes: Any) -> int:
    wanted = wanted or spec()
    revision = store.save_revision(wanted)
    given = {"revision_id": revision, "dag_run_id": name, "rehearsal": wanted.rehearsal, **changes}
    return store.begin_run(replace(START, **{"deployment": wanted.name, **given}))


def together(call: Callable[[int], Any]) -> list[Any]:
    """What eight threads got that called at once."""
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(call, range(8)))


class TestRevisions:
    def test_a_spec_comes_back_as_it_was(self, store: Store) -> None:
        wanted = spec(description="小模型 \U0001f6a2", serve={"model_name": "small", "args": {"seed": 7}})
        assert store.spec(store.save_revision(wanted)) == wanted

    def test_the_same_spec_is_one_revision(self, store: Store) -> None:
        assert set(together(lambda _: store.save_revision(spec()))) == {revision_id(spec())}

    def test_another_lock_file_is_another_revision(self, store: Store) -> None:
        first, second = store.save_revision(spec(), "vllm==1\n"), store.save_revision(spec(), "vllm==2\n")
        assert first != second
        assert (store.lock(first), store.lock(second)) == ("vllm==1\n", "vllm==2\n")
        assert store.lock(store.save_revision(spec())) == ""
        assert store.spec(first) == store.spec(second)

    def test_the_newest_revision_of_each_deployment(self, store: Store) -> None:
        begin(store, "one")
        newest = store.save_revision(spec(tags=["new"]))
        begin(store, "two", spec(tags=["new"]))
        assert store.latest_revisions() == {spec().name: newest}

    def test_an_unknown_revision_is_named(self, store: Store) -> None:
        with pytest.raises(StoreError, match="slipway_revision has no row '0123456789ab'"):
            store.spec("0123456789ab")


class TestCurrent:
    def test_nothing_runs_at_first(self, store: Store) -> None:
        assert store.current("demo") is None

    def test_what_runs_is_known_until_it_is_cleared(self, store: Store) -> None:
        run = begin(store)
        store.set_current(run, revision_id(spec()), "http://10.0.0.1:8000")
        found = store.current("demo")
        assert found
        assert (found.revision_id, found.run_id) == (revision_id(spec()), run)
        assert (found.endpoint, found.state) == ("http://10.0.0.1:8000", "serving")
        store.clear_current("demo")
        assert store.current("demo") is None

    def test_since_is_when_the_revision_took_over(self, store: Store) -> None:
        first, again, other = begin(store, "r1"), begin(store, "r2"), begin(store, "r3", spec(tags=["new"]))
        store.set_current(first, revision_id(spec()), "http://a")
        before = store.current("demo")
        store.set_current(again, revision_id(spec()), "http://b")
        kept = store.current("demo")
        store.set_current(other, revision_id(spec(tags=["new"])), "http://b")
        changed = store.current("demo")
        assert before
        assert kept
        assert changed
        assert (kept.since, kept.run_id, kept.endpoint) == (before.since, again, "http://b")
        assert changed.since > before.since

    def test_the_last_good_revision_is_the_one_promoted_last_until_nothing_runs(self, store: Store) -> None:
        first, second = begin(store, "r1"), begin(store, "r2", spec(tags=["new"]))
        assert store.promoted("demo") is None
        store.promote(first, revision_id(spec()))
        store.promote(second, revision_id(spec(tags=["new"])))
        found = store.promoted("demo")
        assert found
        assert (found.revision_id, found.run_id) == (revision_id(spec(tags=["new"])), second)
        store.clear_current("demo")
        assert store.promoted("demo") is None

    def test_a_run_that_is_not_there_cannot_be_current(self, store: Store) -> None:
        revision = store.save_revision(spec())
        with pytest.raises(StoreError, match=r"(?i)foreign key") as caught:
            store.set_current(17, revision, "http://canary")
        assert "canary" not in f"{caught.value} {caught.value.__cause__}"


class TestRuns:
    def test_a_run_is_found_as_it_began(self, store: Store) -> None:
        run = begin(store, reason="new driver", conf={"users": [10]})
        found = store.run("demo.deploy", "r1")
        assert found == store.run_by_id(run)
        assert (found.state, found.reason, found.conf) == (State.RUNNING, "new driver", {"users": [10]})
        assert (found.ended_at, found.verdict, found.snapshot) == (None, None, {})
        assert abs(found.started_at - datetime.now(UTC)) < timedelta(seconds=30)

    def test_a_run_that_never_was_is_none(self, store: Store) -> None:
        assert store.run("demo.deploy", "r1") is None

    def test_beginning_again_finds_the_same_row_and_opens_it(self, store: Store) -> None:
        run = begin(store)
        store.add_snapshot(run, {"versions": {"ray": "2.60.0"}})
        store.finish_run(run, State.FAILED, "worse", "slower by 9 %")
        before = store.run_by_id(run)
        assert begin(store, reason="cleared") == run
        again = store.run_by_id(run)
        assert (again.state, again.ended_at, again.verdict, again.verdict_reason) == (State.RUNNING, None, None, "")
        assert (again.reason, again.started_at, again.snapshot) == ("cleared", before.started_at, before.snapshot)

    def test_beginning_at_once_gives_one_run(self, store: Store) -> None:
        begin(store)
        assert len(set(together(lambda _: begin(store, "r2")))) == 1
        assert len(store.runs("demo")) == 2

    def test_snapshots_merge_at_every_depth(self, store: Store) -> None:
        run = begin(store)
        store.add_snapshot(run, {"versions": {"ray": "2.60.0", "vllm": "0.31"}, "hosts": {"head": {"memory": 1}}})
        store.add_snapshot(run, {"versions": {"vllm": "0.32"}, "hosts": {"head": {"driver": None}}, "lock": "abc"})
        assert store.run_by_id(run).snapshot == {
            "versions": {"ray": "2.60.0", "vllm": "0.32"},
            "hosts": {"head": {"memory": 1, "driver": None}},
            "lock": "abc",
        }

    def test_snapshots_written_at_once_are_all_kept(self, store: Store) -> None:
        run = begin(store)
        together(lambda number: store.add_snapshot(run, {"hosts": {f"host{number}": number}}))
        assert store.run_by_id(run).snapshot == {"hosts": {f"host{number}": number for number in range(8)}}

    def test_a_finished_run_keeps_its_verdict_when_finished_again(self, store: Store) -> None:
        run = begin(store)
        store.finish_run(run, State.SUCCESS, "same", "within 5 %")
        store.finish_run(run, State.FAILED)
        found = store.run_by_id(run)
        assert (found.state, found.verdict, found.verdict_reason) == (State.FAILED, "same", "within 5 %")
        assert found.ended_at
        assert found.ended_at >= found.started_at

    def test_a_verdict_does_not_end_the_run(self, store: Store) -> None:
        run = begin(store)
        store.judge_run(run, "worse", "slower")
        found = store.run_by_id(run)
        assert (found.state, found.ended_at, found.verdict, found.verdict_reason) == (
            "running",
            None,
            "worse",
            "slower",
        )

    def test_runs_come_newest_first(self, store: Store) -> None:
        ids = [begin(store, f"r{number}") for number in range(4)]
        other = begin(store, "x", spec(name="other"))
        assert [run.id for run in store.runs("demo", limit=3)] == ids[:0:-1]
        assert store.runs()[0].id == other
        assert len(store.runs()) == 5

    def test_a_run_that_is_not_there_is_named(self, store: Store) -> None:
        calls: list[Callable[[], object]] = [
            lambda: store.run_by_id(17),
            lambda: store.add_snapshot(17, {}),
            lambda: store.finish_run(17, State.SUCCESS),
            lambda: store.judge_run(17, "same", ""),
            lambda: store.begin_stage(17, "serve"),
            lambda: store.record_smoke(17, []),
            lambda: store.record_cell(17, MEASURED, "/a"),
            lambda: store.history(17, 10),
            lambda: store.take_lease(17, ["10.0.0.1"], "deploy", 60),
        ]
        for call in calls:
            with pytest.raises(StoreError, match="slipway_run has no row 17"):
                call()


class TestStages:
    def test_a_stage_has_its_time_and_its_actions(self, store: Store) -> None:
        run = begin(store)
        stage = store.begin_stage(run, "serve")
        assert store.stages(run)[0].state == State.RUNNING
        time.sleep(0.02)
        store.finish_stage(stage, actions=3, detail={"port": 8000})
        (found,) = store.stages(run)
        assert (found.id, found.name, found.map_index, found.try_number) == (stage, "serve", -1, 1)
        assert (found.state, found.actions, found.detail, found.error) == (State.SUCCESS, 3, {"port": 8000}, "")
        assert found.ended_at
        assert found.seconds == (found.ended_at - found.started_at).total_seconds() >= 0.02

    def test_begun_twice_it_is_one_try(self, store: Store) -> None:
        run = begin(store)
        stage = store.begin_stage(run, "serve")
        began = store.stages(run)[0].started_at
        store.fail_stage(stage, "no answer")
        assert store.begin_stage(run, "serve") == stage
        (found,) = store.stages(run)
        assert (found.state, found.error, found.ended_at, found.started_at) == (State.RUNNING, "", None, began)

    def test_a_new_try_closes_those_that_never_ended(self, store: Store) -> None:
        run = begin(store)
        for try_number in (1, 2):
            store.begin_stage(run, "benchmark", 0, try_number)
        store.begin_stage(run, "benchmark", 1, 1)
        states = {(stage.map_index, stage.try_number): (stage.state, stage.error) for stage in store.stages(run)}
        assert states == {(0, 1): ("failed", LOST), (0, 2): ("running", ""), (1, 1): ("running", "")}

    def test_a_failed_run_closes_what_never_ended(self, store: Store) -> None:
        run, other = begin(store, "r1"), begin(store, "r2")
        done = store.begin_stage(run, "weights")
        store.finish_stage(done)
        for each in (run, other):
            store.begin_stage(each, "serve")
        store.finish_run(run, State.FAILED)
        assert [stage.state for stage in store.stages(run)] == ["success", "failed"]
        assert [stage.state for stage in store.stages(other)] == ["running"]

    def test_the_end_of_a_long_error_is_kept(self, store: Store) -> None:
        run = begin(store)
        store.fail_stage(store.begin_stage(run, "serve"), "x" * 50_000 + "the cause", detail={"phase": "load"})
        (found,) = store.stages(run)
        assert len(found.error) == 20_000
        assert found.error.endswith("the cause")
        assert (found.state, found.detail) == (State.FAILED, {"phase": "load"})

    def test_any_output_of_a_program_can_be_kept(self, store: Store) -> None:
        run = begin(store)
        said = "NUL \x00, half a pair \ud83d, a whole one \U0001f6a2, 中文"
        store.fail_stage(store.begin_stage(run, "serve"), said, detail={"last": said})
        (found,) = store.stages(run)
        assert found.error == "NUL \ufffd, half a pair \ufffd, a whole one \U0001f6a2, 中文"
        assert found.detail == {"last": said}


class TestSmoke:
    def test_the_last_try_counts(self, store: Store) -> None:
        run = begin(store)
        models = SmokeCheck("models", True, "1 model", 0.1, {"answer": {"data": []}})
        store.record_smoke(run, [models, SmokeCheck("chat", False, "no answer", 2.0)])
        store.record_smoke(run, [models, SmokeCheck("chat", True, "ok", 0.5)])
        assert store.smoke(run) == [models, SmokeCheck("chat", True, "ok", 0.5)]


FINITE = st.floats(0, 1e12, allow_subnormal=False)
COUNT = st.integers(0, 2**53)
DISTRIBUTION = st.none() | st.builds(
    Distribution, count=COUNT, **dict.fromkeys(("mean", "minimum", "p50", "p90", "p95", "p99", "maximum"), FINITE)
)
MEASUREMENT = st.builds(
    Measurement,
    users=st.integers(1, 100_000),
    spawn_rate=FINITE,
    processes=st.integers(1, 256),
    started_at=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
        datetime.timestamp
    ),
    window_s=FINITE,
    requests=COUNT,
    errors=st.dictionaries(st.text(), COUNT, max_size=3),
    prompt_tokens=COUNT,
    output_tokens=COUNT,
    requests_per_s=FINITE,
    output_tokens_per_s=FINITE,
    **dict.fromkeys(("ttft", "itl", "tpot", "e2e"), DISTRIBUTION),
    validity=st.sampled_from(Validity),
    reasons=st.lists(st.text(), max_size=3).map(tuple),
    client=st.dictionaries(st.text(), FINITE, max_size=3),
    server=st.dictionaries(st.text(), FINITE, max_size=3),
)


class TestCells:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(measurement=MEASUREMENT)
    def test_no_figure_is_lost(self, store: Store, measurement: Measurement) -> None:
        run = begin(store, f"{measurement.users}")
        cell = store.record_cell(run, measurement, "/artifacts/1", try_number=2)
        found = next(found for found in store.cells(run) if found.id == cell)
        assert found.measurement == measurement
        assert (found.run_id, found.deployment, found.revision_id) == (run, "demo", revision_id(spec()))
        assert (found.artifacts, found.try_number) == ("/artifacts/1", 2)

    def test_measured_anew_a_level_has_one_cell(self, store: Store) -> None:
        run = begin(store)
        first = store.record_cell(run, replace(MEASURED, users=50), "/a/50")
        store.record_cell(run, MEASURED, "/a/10")
        second = store.record_cell(run, replace(MEASURED, users=50, requests=1, ttft=None), "/b/50", 2)
        assert first == second
        cells = store.cells(run)
        assert [(cell.measurement.users, cell.artifacts) for cell in cells] == [(10, "/a/10"), (50, "/b/50")]
        assert (cells[1].measurement.requests, cells[1].measurement.ttft) == (1, None)

    def test_rates_are_loads_of_their_own(self, store: Store) -> None:
        run = begin(store)
        for users, rate in ((10, 0.0), (0, 12.5), (0, 2.0), (0, 12.5)):
            store.record_cell(run, replace(MEASURED, users=users, rate=rate), f"/{users}/{rate}")
        assert [cell.artifacts for cell in store.cells(run)] == ["/0/2.0", "/0/12.5", "/10/0.0"]
        assert [cell.measurement.load for cell in store.cells(run)] == ["2 req/s", "12.5 req/s", "10 users"]

    def test_shapes_are_loads_of_their_own(self, store: Store) -> None:
        run = begin(store)
        for shape in ("", "2 req/s for 9 s", "2 to 1 req/s for 9 s", "2 req/s for 9 s"):
            store.record_cell(run, replace(MEASURED, users=0, rate=2.0, shape=shape), f"/{shape}")
        assert [cell.measurement.load for cell in store.cells(run)] == [
            "2 req/s",
            "2 req/s for 9 s",
            "2 to 1 req/s for 9 s",
        ]

    def test_levels_recorded_at_once_are_all_kept(self, store: Store) -> None:
        run = begin(store)
        together(lambda number: store.record_cell(run, replace(MEASURED, users=1 + number % 4), f"/{number}"))
        assert [cell.measurement.users for cell in store.cells(run)] == [1, 2, 3, 4]

    @pytest.mark.parametrize(
        ("wrong", "name"),
        [
            (replace(MEASURED, window_s=float("inf")), "window_s"),
            (replace(MEASURED, ttft=replace(UNEVEN, p99=float("nan"))), "ttft.p99"),
            (replace(MEASURED, client={"cpu_share": float("nan")}), "client.cpu_share"),
        ],
    )
    def test_what_is_no_number_is_refused_by_name(self, store: Store, wrong: Measurement, name: str) -> None:
        run = begin(store)
        with pytest.raises(StoreError, match=f"10 users: not a finite number: {name}\n"):
            store.record_cell(run, wrong, "/a")
        assert store.cells(run) == []

    def test_a_run_without_a_revision_has_no_cells(self, store: Store) -> None:
        run = store.begin_run(START)
        with pytest.raises(StoreError, match="has no revision"):
            store.record_cell(run, MEASURED, "/a")

    def test_a_cleared_run_with_another_revision_leaves_old_cells_out(self, store: Store) -> None:
        run = begin(store)
        for users in (10, 50):
            store.record_cell(run, replace(MEASURED, users=users), "/old")
        assert begin(store, "r1", spec(tags=["new"])) == run
        assert store.cells(run) == []
        store.record_cell(run, MEASURED, "/new")
        assert [cell.artifacts for cell in store.cells(run)] == ["/new"]


def benchmarked(store: Store, name: str, wanted: DeploymentSpec | None = None, **changes: Any) -> int:
    """A successful run with one cell, measured after it began."""
    run = begin(store, name, wanted)
    measured = replace(MEASURED, started_at=time.time(), **changes)
    store.record_cell(run, measured, f"/{name}")
    store.finish_run(run, State.SUCCESS)
    return run


class TestHistory:
    def test_earlier_runs_newest_first(self, store: Store) -> None:
        for name in ("a", "b", "c"):
            benchmarked(store, name)
        run = benchmarked(store, "now")
        benchmarked(store, "later")
        assert [cell.artifacts for cell in store.history(run, 10)] == ["/c", "/b", "/a"]
        assert [cell.artifacts for cell in store.history(run, 10, limit=2)] == ["/c", "/b"]

    def test_other_arguments_of_the_server_are_comparable(self, store: Store) -> None:
        benchmarked(store, "a", spec(serve={"model_name": "small", "args": {"max-num-seqs": 8}}))
        assert [cell.artifacts for cell in store.history(begin(store, "now"), 10)] == ["/a"]

    @pytest.mark.parametrize(
        "other",
        [
            {"name": "other"},
            {"rehearsal": True},
            {"benchmark": {"levels": [{"users": 10}], "prompt_tokens": 33}},
            {"hosts": [{"name": "head", "address": "10.0.0.2", "gpus": 2}]},
            {"hosts": [{"name": "head", "address": "10.0.0.1", "gpus": 1}]},
            {"weights": {"source": "/models/large", "name": "large"}},
        ],
    )
    def test_what_is_not_comparable_is_left_out(self, store: Store, other: dict[str, Any]) -> None:
        benchmarked(store, "a", spec(**other))
        assert store.history(begin(store, "now"), 10) == []

    def test_what_cannot_be_believed_is_left_out(self, store: Store) -> None:
        for validity in (Validity.SUSPECT, Validity.INVALID):
            benchmarked(store, validity, validity=validity)
        benchmarked(store, "other load", users=50)
        store.finish_run(benchmarked(store, "failed"), State.FAILED)
        assert store.history(begin(store, "now"), 10) == []

    def test_another_accelerator_is_left_out(self, store: Store) -> None:
        for name, hardware in (("a", "8 x H800"), ("b", "8 x H20"), ("c", None)):
            run = benchmarked(store, name)
            if hardware:
                store.add_snapshot(run, {"hardware": hardware})
        run = begin(store, "now")
        store.add_snapshot(run, {"hardware": "8 x H20"})
        assert [cell.artifacts for cell in store.history(run, 10)] == ["/b"]
        assert [cell.artifacts for cell in store.other_kinds(run, 10)] == ["/c", "/a"]
        assert [cell.artifacts for cell in store.other_kinds(run, 10, limit=1)] == ["/c"]

    def test_the_other_kinds_are_valid_and_of_the_same_deployment_and_load(self, store: Store) -> None:
        elsewhere = spec(hosts=[{"name": "head", "address": "10.0.0.2", "gpus": 2}])
        benchmarked(store, "moved", elsewhere)
        benchmarked(store, "same")
        benchmarked(store, "invalid", elsewhere, validity=Validity.INVALID)
        benchmarked(store, "other load", elsewhere, users=50)
        benchmarked(store, "other deployment", spec(name="other"))
        assert [cell.artifacts for cell in store.other_kinds(begin(store, "now"), 10)] == ["/moved"]


def started(store: Store, name: str, seconds: float, actions: int = 1, wanted: DeploymentSpec | None = None) -> int:
    """A successful run that found its server ready, and had started it unless ``actions`` is 0."""
    run = begin(store, name, wanted)
    store.finish_stage(store.begin_stage(run, "serve"), actions=actions)
    store.finish_stage(store.begin_stage(run, "ready"), detail={"time_to_ready_s": seconds})
    store.finish_run(run, State.SUCCESS)
    return run


class TestStarts:
    def test_only_a_run_that_started_the_server_has_a_time_to_ready(self, store: Store) -> None:
        assert store.start_s(started(store, "a", 81.25)) == 81.25
        assert store.start_s(started(store, "b", 81.25, actions=0)) is None
        assert store.start_s(begin(store, "c")) is None

    def test_earlier_starts_newest_first(self, store: Store) -> None:
        for seconds in (1.5, 2.5, 3.5):
            started(store, f"{seconds}", seconds)
        started(store, "found it ready", 3.5, actions=0)
        started(store, "elsewhere", 9.5, wanted=spec(hosts=[{"name": "head", "address": "10.0.0.2", "gpus": 2}]))
        store.finish_run(started(store, "failed", 8.5), State.FAILED)
        run = started(store, "now", 7.5)
        assert store.starts_s(run) == [3.5, 2.5, 1.5]
        assert store.starts_s(run, limit=1) == [3.5]

    def test_a_start_without_its_time_is_left_out(self, store: Store) -> None:
        run = begin(store, "a")
        store.finish_stage(store.begin_stage(run, "serve"), actions=1)
        store.finish_stage(store.begin_stage(run, "ready"))
        store.finish_run(run, State.SUCCESS)
        assert store.starts_s(begin(store, "now")) == []


def test_a_run_is_judged_and_goes_on(store: Store) -> None:
    run = begin(store)
    store.judge_run(run, "worse", "it answers wrongly")
    store.finish_run(run, State.FAILED)
    found = store.run_by_id(run)
    assert (found.verdict, found.verdict_reason, found.state) == ("worse", "it answers wrongly", State.FAILED)


PHASES = [{"name": "process", "began_s": 0.0, "seconds": 13.5}, {"name": "weights", "began_s": 13.5, "seconds": 7.0}]


def test_starts_are_those_of_runs_that_waited_for_one(store: Store) -> None:
    """A run that found its server up has none; the newest comes first."""
    first, found, last = (begin(store, name) for name in ("one", "two", "three"))
    store.record_start(first, {"began_at": 1000.125, "time_to_ready_s": 20.5, "phases": PHASES})
    store.add_snapshot(found, {"versions": {"vllm": "0.32.0"}})
    store.record_start(last, {"began_at": 2000.0, "time_to_ready_s": 21.25, "phases": PHASES[:1]})
    starts = store.starts("demo")
    assert [(start.run_id, start.time_to_ready_s, start.began_at) for start in starts] == [
        (last, 21.25, 2000.0),
        (first, 20.5, 1000.125),
    ]
    assert [start.revision_id for start in starts] == [store.run_by_id(first).revision_id] * 2
    assert list(starts[1].phases) == PHASES
    assert store.starts("demo", 1) == starts[:1]
    assert store.starts("another") == []


def test_what_a_stage_says_while_it_runs(store: Store) -> None:
    stage = store.begin_stage(begin(store), "ready")
    store.note_stage(stage, {"phase": "weights 40%", "log_offset": 7})
    assert store.stage_detail(stage) == {"phase": "weights 40%", "log_offset": 7}
    store.finish_stage(stage, detail={"time_to_ready_s": 1.0})
    store.note_stage(stage, {"phase": "late"})
    assert store.stage_detail(stage) == {"time_to_ready_s": 1.0}, "it keeps what it ended with"
