"""A sweep from its first task to its last, on a store of the test's own; hosts and load are scripted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from airflow.sdk.exceptions import AirflowFailException
from testbed.measured import measured

from slipway.errors import HostUnreachable, NotReady, NotRestored, SlipwayError, SmokeFailed, SpecError
from slipway.hosts import LocalHost
from slipway.operators import sweep as sweeps
from slipway.operators.resolve import ResolveOperator
from slipway.operators.sweep import PointOperator, SweepReportOperator, SweepRestoreOperator
from slipway.results import Measurement, Validity
from slipway.stages.site import Outcome, Site
from slipway.stages.smoke import SmokeResult
from slipway.store import State

MEASURED = measured(started_at=1_000.0)
GRID = {"serve.args.max-num-seqs": [2, 8], "benchmark.users": [1, 4]}
DETAIL = {
    "environment": {"versions": {"vllm": "0.32.0"}},
    "weights": {"model": "/models/d1"},
    "network": {"kept": True},
    "smoke": {"checks": [SmokeResult("models", True, "serves smollm2", 0.1, {})]},
}


@dataclass
class Bed:
    """Stands for hosts and load: what was served and measured, in order, and what goes wrong where."""

    served: list[int] = field(default_factory=list)
    measured: list[tuple[int, str]] = field(default_factory=list)
    put_back: list[int] = field(default_factory=list)
    torn_down: int = 0
    wrong: dict[tuple[str, int], SlipwayError] = field(default_factory=dict)
    validity: Validity = Validity.VALID
    restore_error: SlipwayError | None = None

    @contextlib.contextmanager
    def open_site(self, spec, lock, say, *, partial=False):
        yield Site(spec, {host.name: LocalHost(host.name) for host in spec.hosts}, lock, say)

    def stage(self, name: str) -> Callable[[Site], Outcome]:
        def converge(site: Site) -> Outcome:
            seqs = site.spec.serve.args["max-num-seqs"]
            if error := self.wrong.get((name, seqs)):
                raise error
            if name == "serve":
                self.served.append(seqs)
            return Outcome(int(name == "serve"), DETAIL.get(name, {}))

        return converge

    def load(self, site: Site, load, level) -> Measurement:
        seqs = site.spec.serve.args["max-num-seqs"]
        if error := self.wrong.get((level.load, seqs)):
            raise error
        self.measured.append((seqs, level.load))
        rate = 100.0 * seqs * level.users
        return replace(MEASURED, users=level.users, output_tokens_per_s=rate, validity=self.validity)

    def restored(self, site: Site, model: str) -> Outcome:
        if self.restore_error:
            raise self.restore_error
        self.put_back.append(site.spec.serve.args["max-num-seqs"])
        return Outcome(2, {"passed": 5, "asked": 5})

    def stopped(self, site: Site) -> Outcome:
        self.torn_down += 1
        return Outcome(3)


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    made = Bed()
    monkeypatch.setattr("slipway.hooks.hosts.open_site", made.open_site)
    monkeypatch.setattr("slipway.operators.explaining.explain_failure", lambda *failure: None)
    for name in ("environment", "weights", "ray_cluster", "network", "serve", "smoke"):
        monkeypatch.setattr(f"slipway.stages.{name}.converge", made.stage(name))
    ready = made.stage("ready")
    monkeypatch.setattr(
        sweeps.ReadyOperator, "converge", lambda stage, site, recording: ready(site) if stage.stays else None
    )
    monkeypatch.setattr("slipway.stages.benchmark.converge", made.load)
    monkeypatch.setattr("slipway.stages.restore.converge", made.restored)
    monkeypatch.setattr("slipway.stages.teardown.converge", made.stopped)
    return made


@pytest.fixture
def good(store, make_context):
    """A revision that was promoted."""
    context = make_context(run_id="good")
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
    ids = context["ti"].xcoms["run"]
    store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
    store.promote(ids["run_id"], ids["revision_id"])
    store.finish_run(ids["run_id"], State.SUCCESS)
    return ids


class Sweep:
    """One DAG run: its tasks one after the other, as Airflow runs them; answers which points failed."""

    def __init__(self, store, make_context, run_id: str, **conf) -> None:
        self.store, self.make_context, self.run_id, self.conf = store, make_context, run_id, {"grid": GRID, **conf}
        self.context = make_context("sweep", self.conf, run_id)
        self.names = ResolveOperator(task_id="resolve", deployment="demo", job="sweep").execute(self.context)
        self.id = self.context["ti"].xcoms["run"]["run_id"]

    def points(self) -> dict[str, str]:
        failed = {}
        for place, name in enumerate(self.names):
            self.context["ti"].map_index = place
            try:
                PointOperator(task_id="point", point=name).execute(self.context)
            except AirflowFailException as error:
                failed[name] = str(error)
        self.context["ti"].map_index = -1
        return failed

    def report(self):
        return SweepReportOperator(task_id="report").execute(self.context)

    def restore(self):
        return SweepRestoreOperator(task_id="restore").execute(self.context)


@pytest.fixture
def sweep(store, make_context) -> Callable[..., Sweep]:
    return lambda run_id="s1", **conf: Sweep(store, make_context, run_id, **conf)


def test_each_point_is_deployed_measured_and_kept_and_the_last_good_one_is_back(store, bed, good, sweep):
    run = sweep()
    assert run.names == ["1: max-num-seqs=2", "2: max-num-seqs=8"]
    assert run.points() == {}
    assert bed.served == [2, 8]
    assert bed.measured == [(2, "1 users"), (2, "4 users"), (8, "1 users"), (8, "4 users")]
    result = run.report()
    assert result["best"]["settings"] == "max-num-seqs=8"
    assert result["best"]["output_tokens_per_s"] == 3200
    assert store.current("demo").revision_id != good["revision_id"]
    run.restore()
    assert bed.put_back == [16]
    assert store.current("demo").revision_id == good["revision_id"]
    ended = store.run_by_id(run.id)
    assert ended.state == State.SUCCESS
    assert "was put back: all 5 smoke checks passed" in ended.snapshot["put_back"]
    assert store.leases() == []


def test_a_point_has_a_run_of_its_own_with_every_stage(store, bed, good, sweep):
    run = sweep()
    run.points()
    first = store.sweep_points(run.id)[0]
    own = store.run_by_id(first.run_id)
    assert (own.job, own.state, own.snapshot["sweep"]) == ("point", State.SUCCESS, run.id)
    assert [stage.name for stage in store.stages(own.id)] == [
        *("environment", "weights", "ray_cluster", "network", "serve", "ready", "smoke", "benchmark", "benchmark"),
    ]
    assert [cell.measurement.load for cell in store.cells(own.id)] == ["1 users", "4 users"]
    assert store.spec(own.revision_id).sweep is None
    assert {lease.run_id for lease in store.leases()} == {run.id}


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        ("serve", SpecError("vLLM's own parser refuses it")),
        ("ready", NotReady("no completion")),
        ("smoke", SmokeFailed("Lyon")),
        ("4 users", SpecError("no load")),
    ],
)
def test_a_point_that_fails_is_kept_with_its_cause_and_the_next_one_is_tried(store, bed, good, sweep, stage, error):
    bed.wrong[stage, 2] = error
    run = sweep()
    assert list(run.points()) == ["1: max-num-seqs=2"]
    first, second = store.sweep_points(run.id)
    failed_at = "benchmark" if stage == "4 users" else stage
    assert (first.state, first.cause) == (State.FAILED, f"{failed_at}: {error.args[0]}")
    assert second.state == State.SUCCESS
    assert store.run_by_id(first.run_id).state == State.FAILED
    assert store.run_by_id(run.id).state == State.RUNNING
    assert run.report()["best"]["point"] == 2
    run.restore()
    assert store.run_by_id(run.id).state == State.SUCCESS


def test_what_the_types_refuse_never_reaches_a_host(store, bed, good, sweep):
    run = sweep(grid=None, points=[{"serve.tensor_parallel": 4}, {"serve.args.max-num-seqs": 8}])
    assert list(run.points()) == ["1: tensor_parallel=4"]
    assert "4 GPUs, but the hosts have 1" in store.sweep_points(run.id)[0].cause
    assert bed.served == [8]


def test_what_a_retry_can_help_is_tried_again(store, bed, good, sweep):
    bed.wrong["serve", 2] = HostUnreachable("here", "gone")
    run = sweep()
    operator = PointOperator(task_id="point", point=run.names[0])
    with pytest.raises(HostUnreachable):
        operator.execute(run.context)
    bed.wrong.clear()
    run.context["ti"].try_number = 2
    operator.execute(run.context)
    [first, _] = store.sweep_points(run.id)
    assert (first.state, first.cause) == (State.SUCCESS, "")


class TestAgain:
    def test_what_was_measured_is_not_measured_again(self, store, bed, good, sweep):
        first = sweep()
        first.points()
        first.restore()
        bed.served, bed.measured = [], []
        second = sweep("s2", grid={**GRID, "benchmark.users": [4, 1, 2]})
        second.points()
        assert bed.measured == [(2, "2 users"), (8, "2 users")]
        rows = store.sweep_rows(second.id)
        assert [row.load for row in rows] == ["4 users", "1 users", "2 users"] * 2
        assert all(row.cell for row in rows)

    def test_a_point_that_is_known_whole_touches_no_host(self, store, bed, good, sweep):
        first = sweep()
        first.points()
        first.restore()
        bed.served, bed.measured = [], []
        second = sweep("s2")
        second.points()
        assert (bed.served, bed.measured) == ([], [])
        assert [point.run_id for point in store.sweep_points(second.id)] == [None, None]
        assert second.report()["best"]["output_tokens_per_s"] == 3200

    def test_a_cleared_run_goes_on_where_it_was(self, store, bed, good, sweep):
        bed.wrong["4 users", 8] = SpecError("killed")
        run = sweep()
        run.points()
        bed.wrong.clear()
        bed.measured = []
        cleared = sweep()
        assert cleared.id == run.id
        cleared.points()
        assert bed.measured == [(8, "4 users")]
        assert [point.state for point in store.sweep_points(run.id)] == [State.SUCCESS] * 2

    def test_a_failed_point_is_tried_again(self, store, bed, good, sweep):
        bed.wrong["ready", 2] = NotReady("no completion")
        first = sweep()
        first.points()
        first.restore()
        bed.wrong.clear()
        bed.served = []
        sweep("s2").points()
        assert bed.served == [2]

    def test_what_cannot_be_believed_is_measured_again(self, bed, good, sweep):
        bed.validity = Validity.INVALID
        first = sweep()
        first.points()
        assert first.report()["best"] is None
        first.restore()
        bed.validity, bed.measured = Validity.VALID, []
        sweep("s2").points()
        assert len(bed.measured) == 4

    def test_all_is_measured_where_that_is_asked_and_once(self, store, bed, good, sweep):
        first = sweep()
        first.points()
        first.restore()
        bed.measured = []
        second = sweep("s2", again=True)
        assert not any(row.cell for row in store.sweep_rows(second.id))
        second.points()
        assert len(bed.measured) == 4
        cleared = sweep("s2", again=True)
        cleared.points()
        assert len(bed.measured) == 4
        assert all(row.cell for row in store.sweep_rows(cleared.id))


class TestRestore:
    def test_where_nothing_was_promoted_what_was_started_is_stopped(self, store, bed, sweep):
        run = sweep()
        run.points()
        run.restore()
        assert (bed.torn_down, bed.put_back) == (1, [])
        assert store.current("demo") is None
        assert "was stopped" in store.run_by_id(run.id).snapshot["put_back"]

    def test_a_sweep_whose_points_were_never_tried_has_failed(self, store, bed, good, sweep):
        first = sweep()
        first.points()
        first.restore()
        second = sweep("s2")  # its preflight fails
        assert second.report()["best"]["point"] == 2
        with pytest.raises(AirflowFailException, match="no point of the sweep came through"):
            second.restore()

    def test_a_sweep_that_measured_nothing_has_failed(self, store, bed, good, sweep):
        bed.wrong = {("serve", seqs): SpecError("refused") for seqs in (2, 8)}
        run = sweep()
        assert len(run.points()) == 2
        with pytest.raises(AirflowFailException, match="no point of the sweep came through; the last good revision"):
            run.restore()
        assert bed.put_back == [16]
        assert store.run_by_id(run.id).state == State.FAILED

    def test_one_that_cannot_be_put_back_fails_the_run(self, store, bed, good, sweep):
        bed.restore_error = SmokeFailed("no answer")
        run = sweep()
        run.points()
        with pytest.raises(AirflowFailException, match="COULD NOT BE PUT BACK: no answer"):
            run.restore()
        assert store.run_by_id(run.id).state == State.FAILED

    def test_one_that_a_retry_can_help_keeps_the_run(self, store, bed, good, sweep):
        bed.restore_error = HostUnreachable("here", "gone")
        run = sweep()
        run.points()
        with pytest.raises(NotRestored):
            run.restore()
        assert store.run_by_id(run.id).state == State.RUNNING

    def test_a_run_that_never_began_touches_nothing(self, bed, store, make_context):
        context = make_context("sweep", run_id="refused")
        context["ti"].xcoms["run"] = None
        for operator in (SweepReportOperator(task_id="report"), SweepRestoreOperator(task_id="restore")):
            with pytest.raises(AirflowFailException, match="nothing was touched"):
                operator.execute(context)
        assert (bed.put_back, bed.torn_down) == ([], 0)


def test_a_sweep_is_no_history_for_a_verdict(store, bed, good, sweep, make_context):
    run = sweep(grid=None, points=[{"benchmark.users": 1}])
    run.points()
    run.restore()
    context = make_context("benchmark", {"users": [1]}, "measured")
    ResolveOperator(task_id="resolve", deployment="demo", job="benchmark").execute(context)
    own = context["ti"].xcoms["run"]["run_id"]
    assert len(bed.measured) == 1
    assert store.history(own, 1) == []
    assert store.other_kinds(own, 1) == []
