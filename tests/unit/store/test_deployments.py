"""All deployments at once, on whichever database ``store_url`` names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from slipway.spec import DeploymentSpec
from slipway.store import RunStart, State, Store
from slipway.store.engine import open_engine

PARTS: dict[str, Any] = {
    "version": 1,
    "hosts": [{"name": "head", "address": "10.0.0.1"}],
    "environment": {"lock": "cpu"},
    "weights": {"source": "/models/small", "name": "small"},
    "serve": {"model_name": "small"},
    "benchmark": {"levels": [{"users": 10}]},
}


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    with open_engine(store_url) as engine:
        yield engine


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)


def begin(store: Store, deployment: str, dag_run_id: str, job: str = "deploy", *, rehearsal: bool = False) -> int:
    parts = {**PARTS, "name": deployment, "rehearsal": rehearsal}
    revision = store.save_revision(DeploymentSpec.model_validate(parts, strict=False))
    start = RunStart(deployment, job, f"{deployment}.{job}", dag_run_id, revision_id=revision, rehearsal=rehearsal)
    return store.begin_run(start)


def serve(store: Store, run_id: int) -> None:
    revision = store.run_by_id(run_id).revision_id
    assert revision
    store.set_current(run_id, revision, "http://10.0.0.1:8000")


def test_an_empty_store_has_none(store: Store) -> None:
    assert store.deployments() == []


def test_each_is_given_once_by_name_with_its_last_runs(store: Store) -> None:
    judged = begin(store, "b", "r1")
    serve(store, judged)
    store.finish_run(judged, State.SUCCESS, "same", "within 5 %")
    begin(store, "a", "r1")
    last = begin(store, "b", "r2", "benchmark")
    first, second = store.deployments()
    assert (first.name, first.current, first.last_judged) == ("a", None, None)
    assert (second.name, second.current) == ("b", store.current("b"))
    assert second.last_run == store.run_by_id(last)
    assert second.last_judged == store.run_by_id(judged)


def test_a_revision_without_a_run_is_no_deployment(store: Store) -> None:
    store.save_revision(DeploymentSpec.model_validate({**PARTS, "name": "planned"}, strict=False))
    assert store.deployments() == []


def test_rehearsal_is_that_of_what_runs_now(store: Store) -> None:
    deployed = begin(store, "a", "r1", rehearsal=True)
    serve(store, deployed)
    begin(store, "a", "r2")
    assert store.deployments()[0].rehearsal is True
    store.clear_current("a")
    assert store.deployments()[0].rehearsal is False


def test_many_deployments_need_no_more_queries_than_one(store: Store, engine: Engine) -> None:
    counts = []
    for number in range(3):
        serve(store, begin(store, f"d{number}", "r1"))
        counts.append(_selects_of(store, engine))
    assert len(set(counts)) == 1


def _selects_of(store: Store, engine: Engine) -> int:
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    store.deployments()
    event.remove(engine, "before_cursor_execute", note)
    return sum(statement.startswith("SELECT") for statement in said)


def test_a_run_is_found_by_its_id_or_is_none(store: Store) -> None:
    run_id = begin(store, "a", "r1")
    assert store.find_run(run_id) == store.run_by_id(run_id)
    assert store.find_run(run_id + 1) is None
    assert store.runs_by_id([run_id, run_id + 1]) == {run_id: store.run_by_id(run_id)}
