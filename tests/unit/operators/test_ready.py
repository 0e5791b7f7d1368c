"""The task *ready*: how long it waits itself, what it hands to its trigger, and what it concludes."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from slipway.errors import HostUnreachable, NotReady, ServerDied
from slipway.operators import stages
from slipway.operators.lease import LEASE_S
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import ReadyOperator
from slipway.stages import watch
from slipway.stages.site import Outcome, Site
from slipway.store import State
from slipway.triggers import ready as triggers
from slipway.triggers.ready import ReadyTrigger

PHASES = [{"name": "process", "began_s": 0.0, "seconds": 4.0}]
STARTED = Outcome(0, {"restarts": 0, "began_at": 1000.5, "time_to_ready_s": 4.0, "phases": PHASES})
Told = Outcome | Exception | None


class Watches:
    """In place of looks at a host: answers what it was told, in order, and keeps with what each watch began."""

    def __init__(self) -> None:
        self.answers: list[Told] = []
        self.begun: list[dict[str, Any]] = []

    def __call__(self, site: Site, deadline_at: float, mark: watch.Mark, known: float | None = None) -> Watches:
        self.begun.append({"deadline_at": deadline_at, "known": known, **vars(mark)})
        self.mark = watch.Mark(mark.shown + 100, mark.moved_at + 1)
        return self

    starting = True

    @property
    def detail(self) -> dict[str, Any]:
        return {"phase": "weights 40%", "phases": PHASES, "log_offset": self.mark.shown}

    def look(self) -> Outcome | None:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> Watches:
    made = Watches()

    @contextmanager
    def open_site(spec, lock, say, *, partial=False):
        yield Site(spec, {}, lock, say)

    monkeypatch.setattr("slipway.hooks.hosts.open_site", open_site)
    monkeypatch.setattr(watch, "Watch", made)
    monkeypatch.setattr("slipway.stages.ready.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(stages, "SYNCHRONOUS_S", 0.0)
    monkeypatch.setattr(triggers, "LOOK_EVERY_S", 0.01)
    return made


@pytest.fixture
def context(store, make_context):
    begun = make_context()
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(begun)
    return begun


def deferred(operator: ReadyOperator, context) -> ReadyTrigger:
    """The trigger that the task hands its wait to, as the triggerer makes it: from its serialized arguments."""
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    assert caught.value.method_name == "execute_complete"
    name, arguments = caught.value.trigger.serialize()
    assert name == "slipway.triggers.ready.ReadyTrigger"
    return ReadyTrigger(**json.loads(json.dumps(arguments)))


def event(trigger: ReadyTrigger) -> dict[str, Any]:
    async def only() -> list[dict[str, Any]]:
        return [event.payload async for event in trigger.run()]

    [payload] = asyncio.run(only())
    return json.loads(json.dumps(payload))


def ready_stage(store):
    run = store.runs("demo")[0]
    return next(stage for stage in store.stages(run.id) if stage.name == "ready")


def test_a_server_that_is_up_needs_no_trigger(store, context, watches):
    watches.answers = [STARTED]
    assert ReadyOperator(task_id="ready").execute(context) == {"actions": 0}
    assert ready_stage(store).detail == STARTED.detail
    [start] = store.starts("demo")
    assert (start.began_at, start.time_to_ready_s, list(start.phases)) == (1000.5, 4.0, PHASES)


def test_a_server_that_starts_is_waited_for_elsewhere_and_concluded_here(store, context, watches):
    operator = ReadyOperator(task_id="ready")
    watches.answers = [None, None, None, STARTED, STARTED]
    trigger = deferred(operator, context)
    stage = ready_stage(store)
    assert (stage.state, stage.detail["phase"]) == (State.RUNNING, "weights 40%")
    told = event(trigger)
    operator.execute_complete(context, told)
    first, in_trigger, last = watches.begun
    assert first["deadline_at"] == in_trigger["deadline_at"] == last["deadline_at"]
    assert (in_trigger["shown"], last["shown"]) == (100, 200), "each goes on where the one before was"
    assert last["moved_at"] == in_trigger["moved_at"] + 1 == first["moved_at"] + 2
    stage = ready_stage(store)
    assert (stage.state, stage.try_number) == (State.SUCCESS, 1)
    assert store.starts("demo")[0].time_to_ready_s == 4.0


def test_a_triggerer_that_was_started_again_goes_on_where_the_store_says(store, context, watches):
    watches.answers = [None, None, STARTED]
    trigger = deferred(ReadyOperator(task_id="ready"), context)
    store.note_stage(trigger.stage_id, {"log_offset": 7000})
    event(ReadyTrigger(**trigger.serialize()[1]))
    assert watches.begun[-1]["shown"] == 7000


def test_a_fault_in_the_trigger_is_for_the_task_to_see(store, context, watches):
    operator = ReadyOperator(task_id="ready")
    watches.answers = [None, None, ServerDied("[here] vLLM ended: signal 9"), NotReady("stands still")]
    told = event(deferred(operator, context))
    with pytest.raises(AirflowFailException, match="stands still"):
        operator.execute_complete(context, told)
    stage = ready_stage(store)
    assert (stage.state, stage.detail["phase"]) == (State.FAILED, "weights 40%")


def test_what_has_passed_when_the_task_looks_is_waited_for_again(store, context, watches):
    operator = ReadyOperator(task_id="ready")
    watches.answers = [None, HostUnreachable("here", "gone"), None]
    told = event(deferred(operator, context))
    with pytest.raises(TaskDeferred):
        operator.execute_complete(context, told)
    assert watches.begun[0]["deadline_at"] == watches.begun[-1]["deadline_at"]


def test_hosts_that_cannot_be_opened_are_for_the_task_to_see(store, context, watches, monkeypatch):
    watches.answers = [None]
    trigger = deferred(ReadyOperator(task_id="ready"), context)

    @contextmanager
    def closed(*_, **__):
        raise HostUnreachable("here", "gone")
        yield

    monkeypatch.setattr("slipway.hooks.hosts.open_site", closed)
    assert event(trigger)["shown"] == trigger.shown


def test_no_event_comes_within_five_seconds():
    assert triggers.LOOK_EVERY_S >= 5


def test_the_trigger_holds_the_hosts(store, context, watches):
    watches.answers = [None, None, None, STARTED]
    trigger = deferred(ReadyOperator(task_id="ready"), context)
    store.prolong_lease(trigger.run_id, 1.0)
    event(trigger)
    [lease] = store.leases()
    left = lease.until - datetime.now(UTC)
    assert timedelta(seconds=LEASE_S - 10) < left <= timedelta(seconds=LEASE_S)


def test_the_budget_of_a_try_begins_with_it(store, context, watches):
    watches.answers = [STARTED]
    ReadyOperator(task_id="ready").execute(context)
    limit_s = store.spec(store.runs("demo")[0].revision_id).serve.ready_timeout_s
    assert watches.begun[0]["deadline_at"] == pytest.approx(time.time() + limit_s, abs=10)


def test_the_start_that_is_kept_already_is_known_to_the_next_run(store, context, make_context, watches):
    watches.answers = [STARTED, Outcome(0, {"restarts": 0})]
    ReadyOperator(task_id="ready").execute(context)
    store.finish_run(store.runs("demo")[0].id, State.SUCCESS)
    again = make_context(job="benchmark", run_id="r2")
    ResolveOperator(task_id="resolve", deployment="demo", job="benchmark").execute(again)
    ReadyOperator(task_id="ready").execute(again)
    assert [begun["known"] for begun in watches.begun] == [None, 1000.5]
    assert len(store.starts("demo")) == 1
