"""``swap: beside`` in a store of the test's own: which side a run is on, who gets traffic when, what is put back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from airflow.sdk.exceptions import AirflowFailException

from slipway.errors import NotConverged, NotReady, SlipwayError
from slipway.hosts import LocalHost
from slipway.operators.lease import leased_hosts
from slipway.operators.recording import RUN, recorded
from slipway.operators.redeploy import PromoteOperator, RestoreOperator
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import ReadyOperator, ServeOperator, TeardownOperator
from slipway.operators.traffic import TrafficOperator
from slipway.results.redeploy import told
from slipway.spec import DeploymentSpec
from slipway.stages.site import Outcome, Site
from slipway.store import State

FILE = """
version: 1
name: demo
root: /srv/slipway
hosts: [{name: a, connection: ssh_a, address: 10.0.0.1}]
environment: {existing: /opt/serving/bin/python}
weights: {source: /models/tiny, name: tiny}
serve: {model_name: tiny, host: 0.0.0.0, args: {max-num-seqs: 8}}
benchmark: {levels: [{users: 1}]}
redeploy: {swap: beside}
beside:
  hosts: [{name: b, connection: ssh_b, address: 10.0.0.2}]
  router: {address: 10.0.0.9, python: /opt/router/bin/python}
"""
OTHER = {"serve_args": {"max-num-seqs": 4}}
A, B, ROUTER = "http://10.0.0.1:8000", "http://10.0.0.2:8000", "http://10.0.0.9:8090"


@dataclass
class Hosts:
    """Stands for the hosts, and for the stages that act on them: what was done, in its order."""

    done: list[str] = field(default_factory=list)
    error: SlipwayError | None = None
    server: str = ""

    @contextlib.contextmanager
    def open_site(self, spec, lock, say, *, partial=False):
        yield Site(spec, {host.name: LocalHost(host.name) for host in spec.hosts}, lock, say)

    def note(self, what: str, outcome: Outcome) -> Callable[..., Outcome]:
        def stage(site: Site, *given: object) -> Outcome:
            self.done.append(" ".join([what, site.spec.head.name, *map(str, given)]))
            return outcome

        return stage

    def send(self, site: Site, server: str) -> Outcome:
        """The stage *traffic*: it acts where the router does not send to the server yet."""
        self.done.append(f"traffic {site.spec.head.name} {server}")
        if self.error:
            raise self.error
        acts, self.server = 0 if server == self.server else 2, server
        return Outcome(acts, {"endpoint": ROUTER, "server": server})


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    made = Hosts()
    monkeypatch.setattr("slipway.hooks.hosts.open_site", made.open_site)
    monkeypatch.setattr("slipway.operators.explaining.explain_failure", lambda *failure: None)
    stopped = Outcome(2, {"left": [], "stopped": [], "not_reached": {}})
    monkeypatch.setattr("slipway.stages.teardown.converge", made.note("stop", stopped))
    monkeypatch.setattr("slipway.stages.restore.converge", made.note("restore", Outcome(0, {"passed": 4, "asked": 4})))
    monkeypatch.setattr("slipway.stages.restore.vacate", lambda site, kept: made.note("vacate", stopped)(site).actions)
    monkeypatch.setattr("slipway.stages.traffic.converge", made.send)
    monkeypatch.setattr("slipway.stages.traffic.stop", lambda site: made.note("stop", stopped)(site).actions)
    monkeypatch.setattr("slipway.stages.traffic.drained", lambda site, within_s: {"drained_s": 1.5, "left": 0})
    return made


@pytest.fixture
def files(tmp_path, monkeypatch):
    folder = tmp_path / "deployments"
    folder.mkdir()
    (folder / "demo.yaml").write_text(FILE)
    monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(folder))
    return folder / "demo.yaml"


@pytest.fixture
def deploy(store, make_context, hosts, files) -> Callable[..., dict]:
    """A deploy up to its verdict; the stages in between record, and act on nothing."""

    def deploy(run_id: str, conf: dict | None = None, verdict: str = "same") -> dict:
        context = make_context(conf=conf, run_id=run_id)
        ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
        store.add_snapshot(ids(context)["run_id"], {"model": {"model": "/models/d1"}})
        for operator in (ServeOperator(task_id="serve"), ReadyOperator(task_id="ready")):
            with recorded(context, operator.stage) as recording:
                operator.record(recording, Outcome(2))
        store.judge_run(ids(context)["run_id"], verdict, "by 31 %")
        return context

    return deploy


@pytest.fixture
def good(deploy, hosts):
    """The first revision, promoted."""
    context = deploy("good")
    traffic(context)
    PromoteOperator(task_id="promote").execute(context)
    hosts.done.clear()
    return context


def ids(context) -> dict:
    return context["ti"].xcoms[RUN]


def traffic(context):
    return TrafficOperator(task_id="traffic").execute(context)


def restored(context) -> str:
    with pytest.raises(AirflowFailException) as report:
        RestoreOperator(task_id="restore").execute(context)
    return str(report.value)


def side(store, context) -> str:
    spec: DeploymentSpec = store.spec(ids(context)["revision_id"])
    return spec.head.name


def test_the_first_server_gets_the_traffic_on_its_own_hosts(store, deploy, hosts):
    first = deploy("first")
    assert traffic(first) == {"actions": 2}
    assert hosts.done == [f"traffic router {A}"]
    current = store.current("demo")
    assert (side(store, first), current.endpoint, current.state) == ("a", ROUTER, "serving")


def test_the_next_one_is_on_the_spare_hosts_and_clients_get_it_last(store, deploy, good, hosts):
    new = deploy("new", OTHER)
    assert side(store, new) == "b"
    assert store.current("demo").revision_id == ids(good)["revision_id"]
    assert traffic(new) == {"actions": 4}
    assert hosts.done == [f"traffic router {B}", "stop a"]
    assert store.current("demo").revision_id == ids(new)["revision_id"]
    PromoteOperator(task_id="promote").execute(new)
    run = store.run_by_id(ids(new)["run_id"])
    assert run.state == State.SUCCESS
    assert "downtime_s" not in run.snapshot
    assert f"Traffic moved to {B}; the old server had 0 requests left after 1.5 s" in told(run.snapshot)


def test_the_one_after_it_is_on_the_first_hosts_again(store, deploy, good, hosts):
    new = deploy("new", OTHER)
    traffic(new)
    PromoteOperator(task_id="promote").execute(new)
    again = deploy("again", OTHER)
    assert ids(again)["revision_id"] == ids(new)["revision_id"]
    store.finish_run(ids(again)["run_id"], State.SUCCESS)
    assert side(store, deploy("back")) == "a"


def test_the_difference_names_no_hosts_and_no_downtime(store, deploy, good):
    data = store.run_by_id(ids(deploy("new", OTHER))["run_id"]).snapshot["difference"]
    assert data["changes"] == [["serve.args.max-num-seqs", 8, 4]]
    assert (data["downtime"], data["beside"]) == (False, True)


def test_both_sides_are_held(store, deploy, good):
    spec = store.spec(ids(good)["revision_id"])
    assert leased_hosts(spec) == ["10.0.0.1", "10.0.0.2"]


class TestRefused:
    def test_what_is_worse_gets_no_traffic_and_is_stopped(self, store, deploy, good, hosts):
        new = deploy("new", OTHER, "worse")
        with pytest.raises(AirflowFailException, match="verdict is worse: by 31 %"):
            traffic(new)
        assert hosts.done == []
        assert f"{ids(good)['revision_id']} still serves, nothing had to be put back" in restored(new)
        assert hosts.done == ["restore a /models/d1", f"traffic router {A}", "vacate b"]
        assert store.current("demo").revision_id == ids(good)["revision_id"]

    def test_one_that_never_came_up_is_stopped_likewise(self, store, deploy, good, hosts):
        new = deploy("new", OTHER)
        with pytest.raises(AirflowFailException), recorded(new, "ready"):
            raise NotReady("no completion")
        assert "still serves" in restored(new)
        assert hosts.done[-1] == "vacate b"

    def test_traffic_goes_back_before_the_new_one_is_stopped(self, store, deploy, good, hosts):
        new = deploy("new", OTHER)
        traffic(new)
        hosts.done.clear()
        with pytest.raises(AirflowFailException), recorded(new, "promote"):
            raise NotReady("the database was away")
        restored(new)
        assert hosts.done == ["restore a /models/d1", f"traffic router {A}", "vacate b"]
        current = store.current("demo")
        assert (current.revision_id, current.endpoint) == (ids(good)["revision_id"], ROUTER)


def test_another_try_of_the_move_still_knows_whom_to_stop(store, deploy, good, hosts):
    new = deploy("new", OTHER)
    hosts.error = NotConverged("the router sends elsewhere")
    with pytest.raises(NotConverged):
        traffic(new)
    store.set_current(ids(new)["run_id"], ids(new)["revision_id"], ROUTER)
    hosts.error, new["ti"].try_number = None, 2
    hosts.done.clear()
    traffic(new)
    assert hosts.done == [f"traffic router {B}", "stop a"]


def test_a_teardown_stops_the_router_then_both_sides(store, good, hosts, make_context):
    context = make_context("teardown", run_id="down")
    ResolveOperator(task_id="resolve", deployment="demo", job="teardown").execute(context)
    with recorded(context, "teardown") as recording, hosts.open_site(recording.spec, "", print) as site:
        outcome = TeardownOperator(task_id="teardown").converge(site, recording)
    assert hosts.done == ["stop router", "stop a", "stop b"]
    assert outcome.actions == 6


def test_other_hosts_or_no_router_any_more_are_refused_while_it_runs(store, deploy, good, files, make_context):
    for line, other in (("address: 10.0.0.2", "address: 10.0.0.3"), ("address: 10.0.0.9", "address: 10.0.0.8")):
        files.write_text(FILE.replace(line, other))
        with pytest.raises(AirflowFailException, match=r"demo has other hosts, or another router[\s\S]*demo.teardown"):
            deploy("new", OTHER)
    files.write_text(FILE.partition("redeploy:")[0])
    with pytest.raises(AirflowFailException, match="another router"):
        deploy("new", OTHER)
