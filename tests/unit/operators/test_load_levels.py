"""Each load level of a run becomes a cell of its own, closed loops and open ones."""

from __future__ import annotations

from typing import Any

import pytest
from testbed.measured import measured

from slipway.errors import SpecError
from slipway.operators.benchmark import BenchmarkOperator, VerdictOperator
from slipway.operators.resolve import ResolveOperator
from slipway.results import Measurement
from slipway.spec import Level
from slipway.stages.benchmark import LoadHost
from slipway.stages.site import Site


def _measured(site: Site, load: LoadHost, level: Level) -> Measurement:
    assert level in site.spec.benchmark.levels
    return measured(users=level.users, rate=level.rate, output_tokens_per_s=10.0)


@pytest.fixture
def begun(store, make_context, monkeypatch) -> dict[str, Any]:
    """A run of two users and of two rates, whose load tests are made up."""
    monkeypatch.setattr("slipway.stages.benchmark.converge", _measured)
    context = make_context(conf={"users": [2], "rates": [1.5, 20]})
    loads = ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
    assert loads == ["2 users", "1.5 req/s", "20 req/s"]
    return context


def test_every_load_is_a_cell_with_a_folder_of_its_own(store, begun):
    for load in ("20 req/s", "2 users", "1.5 req/s", "2 users"):
        assert BenchmarkOperator(task_id="benchmark", load=load).execute(begun) == {"load": load}
    cells = store.cells(store.runs("demo")[0].id)
    assert [cell.measurement.load for cell in cells] == ["1.5 req/s", "20 req/s", "2 users"]
    assert [cell.artifacts.rpartition("/")[2] for cell in cells] == ["rate-1.5", "rate-20", "users-2"]


def test_the_verdict_knows_each_load_by_itself(store, begun):
    for load in ("20 req/s", "1.5 req/s"):
        BenchmarkOperator(task_id="benchmark", load=load).execute(begun)
    answer = VerdictOperator(task_id="verdict").execute(begun)
    assert answer["verdict"] == "not enough history"


def test_a_load_that_the_revision_lacks_is_named(begun):
    with pytest.raises(Exception, match="no level of 7 users") as raised:
        BenchmarkOperator(task_id="benchmark", load="7 users").execute(begun)
    assert isinstance(raised.value.__cause__, SpecError)
