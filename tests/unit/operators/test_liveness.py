"""The watch: what a look leaves behind, when it is skipped, and what becomes of a server that hangs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from slipway.errors import HostUnreachable, ServerDied, ServerWedged, SlipwayError, SmokeFailed
from slipway.hosts import LocalHost
from slipway.operators.liveness import LivenessOperator
from slipway.operators.resolve import ResolveOperator
from slipway.stages.site import Outcome, Site
from slipway.store import State

HANGS = ServerWedged("[here] the engine hangs")


@dataclass
class Bed:
    """Stands for the hosts: what a look finds, and whether a start anew succeeds."""

    error: SlipwayError | None = None
    restart_error: SlipwayError | None = None
    restarted: list[str] = field(default_factory=list)
    explained: list[str] = field(default_factory=list)
    meanwhile: object = None

    @contextlib.contextmanager
    def open_site(self, spec, lock, say, *, partial=False):
        yield Site(spec, {host.name: LocalHost(host.name) for host in spec.hosts}, lock, say)

    def look(self, site: Site) -> Outcome:
        if self.meanwhile:
            self.meanwhile()
        if self.error:
            raise self.error
        return Outcome(0, {"engine": "answers", "seconds": 0.1})

    def restart(self, site: Site, model: str) -> Outcome:
        site.on_downtime()
        if self.restart_error:
            raise self.restart_error
        self.restarted.append(model)
        return Outcome(3, {"passed": 4, "asked": 4})

    def explain(self, recording, stage, try_number, error) -> None:
        self.explained.append(stage)


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    made = Bed()
    monkeypatch.setattr("slipway.hooks.hosts.open_site", made.open_site)
    monkeypatch.setattr("slipway.operators.explaining.explain_failure", made.explain)
    monkeypatch.setattr("slipway.stages.liveness.converge", made.look)
    monkeypatch.setattr("slipway.stages.restart.converge", made.restart)
    return made


@pytest.fixture
def served(store, make_context):
    """A deployment that serves, with nobody at work on it."""
    context = make_context(run_id="good")
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
    ids = context["ti"].xcoms["run"]
    store.add_snapshot(ids["run_id"], {"model": {"model": "/models/d1"}})
    store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
    store.finish_run(ids["run_id"], State.SUCCESS)
    return ids


@pytest.fixture
def look(make_context):
    def look(*, restart: bool = False, try_number: int = 3):
        context = make_context("watch", run_id="w1", run_type="scheduled")
        context["ti"].try_number = try_number
        return LivenessOperator(task_id="liveness", deployment="demo", restart=restart).execute(context)

    return look


def test_a_server_that_is_well_leaves_nothing_behind(store, bed, served, look):
    assert look() == {"engine": "answers", "seconds": 0.1}
    assert [run.id for run in store.runs("demo")] == [served["run_id"]]
    assert store.leases() == []


def test_without_a_deployment_it_is_skipped(store, bed, look):
    with pytest.raises(AirflowSkipException, match="nothing is deployed, so there is nothing to look at"):
        look()


def test_while_a_run_holds_a_host_it_is_skipped(store, bed, served, look, make_context):
    ResolveOperator(task_id="resolve", deployment="demo", job="benchmark").execute(make_context("benchmark"))
    with pytest.raises(AirflowSkipException, match="is held by run 2 of demo for benchmark"):
        look()


def test_what_has_not_served_yet_is_not_looked_at(store, bed, served, look):
    store.set_current(served["run_id"], served["revision_id"], "http://127.0.0.1:28000", state="starting")
    with pytest.raises(AirflowSkipException, match="has not served yet"):
        look()


def test_a_freeze_is_kept_with_its_evidence(store, bed, served, look):
    bed.error = HANGS
    with pytest.raises(AirflowFailException, match=r"the engine hangs[\s\S]*watch.restart is false"):
        look()
    run = store.runs("demo")[0]
    assert (run.job, run.state, run.dag_id) == ("watch", State.FAILED, "demo.watch")
    assert [(stage.name, stage.state) for stage in store.stages(run.id)] == [("liveness", State.FAILED)]
    assert (bed.explained, bed.restarted) == (["liveness"], [])
    assert store.leases() == []


def test_it_is_started_again_where_the_file_allows_it(store, bed, served, look):
    bed.error = ServerDied("[here] vLLM ended: exit code 0")
    with pytest.raises(AirflowFailException, match=r"vLLM ended[\s\S]*started again and serves: all 4 smoke checks"):
        look(restart=True)
    assert bed.restarted == ["/models/d1"]
    run = store.runs("demo")[0]
    assert run.state == State.FAILED
    assert [(stage.name, stage.state, stage.actions) for stage in store.stages(run.id)] == [
        ("liveness", State.FAILED, 0),
        ("restart", State.SUCCESS, 3),
    ]
    assert run.snapshot["downtime_s"] >= 0
    assert store.current("demo").run_id == served["run_id"]


def test_a_start_that_fails_says_both(store, bed, served, look):
    bed.error, bed.restart_error = HANGS, SmokeFailed("Lyon")
    with pytest.raises(AirflowFailException, match=r"the engine hangs[\s\S]*COULD NOT BE STARTED AGAIN: Lyon"):
        look(restart=True)
    run = store.runs("demo")[0]
    assert run.state == State.FAILED
    assert run.snapshot["down_since"]
    assert store.leases() == []


def test_what_a_retry_can_help_is_looked_at_again_first(store, bed, served, look):
    bed.error = HostUnreachable("here", "gone")
    with pytest.raises(HostUnreachable):
        look(try_number=1)
    assert len(store.runs("demo")) == 1
    with pytest.raises(AirflowFailException, match="gone"):
        look(try_number=3)


def test_a_run_that_began_during_the_look_is_left_to_it(store, bed, served, look, make_context):
    def deploy() -> None:
        ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(make_context(run_id="next"))

    bed.error, bed.meanwhile = ServerDied("stopped"), deploy
    with pytest.raises(AirflowSkipException, match="is held by run 2 of demo for deploy"):
        look(restart=True)
    assert bed.restarted == []


def test_what_was_torn_down_during_the_look_is_left_alone(store, bed, served, look):
    bed.error, bed.meanwhile = ServerDied("stopped"), lambda: store.clear_current("demo")
    with pytest.raises(AirflowSkipException, match="nothing is deployed"):
        look(restart=True)
    assert bed.restarted == []
