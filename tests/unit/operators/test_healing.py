"""Restarts that an agent made by itself, as a task sees them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import ClassVar

import pytest

from slipway.errors import HostUnreachable
from slipway.facts import role as facts
from slipway.facts.role import RoleState
from slipway.hosts import LocalHost
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import ReadyOperator, ServeOperator, StageOperator, TeardownOperator
from slipway.stages.site import Outcome, Site

ENDS = ({"at": 1000.25, "code": 0, "signal": None, "reason": "exit code 0", "cause": "worker-died"},)


class Serving(StageOperator):
    stage: ClassVar[str] = "serve"
    looks_at_server = True

    def converge(self, site, recording):
        return Outcome()


@pytest.fixture
def site(monkeypatch):
    """A deployment whose head is this machine, and is asked nothing but what its server's role does."""

    @contextmanager
    def open_site(spec, lock, say, *, partial=False):
        yield Site(spec, {spec.head.name: LocalHost(spec.head.name)}, lock, say)

    monkeypatch.setattr("slipway.hooks.hosts.open_site", open_site)


def run_it(make_context):
    context = make_context()
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
    return Serving(task_id="serve").execute(context)


def test_each_is_a_row_with_its_cause(store, make_context, site, monkeypatch):
    monkeypatch.setattr(facts, "role", lambda host, root, name: RoleState(name, restarts=ENDS))
    run_it(make_context)
    [restart] = store.restarts("demo")
    assert (restart.role, restart.at.timestamp(), restart.cause) == ("demo.vllm", 1000.25, "worker-died")
    assert store.restarts_of_run(store.runs("demo")[0].id) == [restart]


def test_a_head_that_does_not_say_is_no_failure(store, make_context, site, monkeypatch):
    def silent(host, root, name):
        raise HostUnreachable(host.name, "no route")

    monkeypatch.setattr(facts, "role", silent)
    assert run_it(make_context) == {"actions": 0}
    assert store.restarts("demo") == []


def test_they_are_looked_at_before_they_are_forgotten():
    """A server that is stopped or removed takes what its agent knows with it."""
    assert all(operator.looks_at_server for operator in (ServeOperator, ReadyOperator, TeardownOperator))
