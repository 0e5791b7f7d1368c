"""When the requests of one load process are due, and when a user takes part."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from slipway.loadgen.plan import LoadPlan
from slipway.loadgen.prompts import Prompt
from slipway.loadgen.schedule import Schedule
from slipway.results.cell import Window
from slipway.results.plan import Trace
from slipway.results.shape import Step

S = 1_000_000_000


def _plan(**changes: Any) -> LoadPlan:
    usual: dict[str, Any] = {"base_url": "http://h:1", "model": "m", "folder": "/f", "seconds": 10.0, "warmup_s": 0.0}
    return LoadPlan(**(usual | changes))


def _due(plan: LoadPlan, index: int = 0, prompts: tuple[Prompt, ...] = ()) -> list[int]:
    window = Window(int(plan.warmup_s) * S, int(plan.warmup_s + plan.seconds) * S)
    return list(Schedule(plan, prompts, index, random.Random(1)).arrivals_ns(window))


def test_poisson_arrivals_have_the_rate_and_its_spread() -> None:
    gaps = [(after - before) / 1e9 for before, after in pairwise(_due(_plan(rate=50.0, processes=2, seconds=800.0)))]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(2 / 50, rel=0.03)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.06)


def test_constant_arrivals_of_several_processes_interleave() -> None:
    plan = _plan(rate=10.0, processes=4, arrivals="constant")
    due = [at for index in range(4) for at in _due(plan, index)]
    assert sorted(due) == pytest.approx([at * 100e6 for at in range(100)])


def test_steps_begin_with_the_window_and_the_warm_up_has_the_first_load() -> None:
    steps = (Step(first=1, last=1, seconds=4.0), Step(first=5, last=5, seconds=2.0))
    due = _due(_plan(rate=5.0, steps=steps, seconds=6.0, warmup_s=2.0, arrivals="constant"))
    assert due == pytest.approx([*(at * S for at in range(6)), *(6 * S + at * S / 5 for at in range(10))])


def test_a_trace_is_replayed_by_each_process_in_turn() -> None:
    prompts = tuple(Prompt("a", 1, due_s=at, output_tokens=1) for at in (0.0, 0.5, 0.75, 3.0))
    plan = _plan(trace=Trace(file="t"), processes=2)
    assert (_due(plan, 0, prompts), _due(plan, 1, prompts)) == ([0, 0.75 * S], [0.5 * S, 3 * S])


def test_users_of_a_ramp_take_part_one_after_the_other_and_stop_when_it_falls() -> None:
    steps = (Step(first=0, last=4, seconds=4.0), Step(first=2, last=2, seconds=4.0))
    plan = _plan(users=4, steps=steps, seconds=8.0, processes=2)
    window = Window(0, 8 * S)

    def turns(index: int, after_ns: int) -> list[int | None]:
        schedule = Schedule(plan, (), index, random.Random(1))
        return [schedule.turn_ns(user, after_ns, window) for user in range(2)]

    assert (turns(0, 0), turns(1, 0)) == ([1 * S, 3 * S], [2 * S, 4 * S])
    assert (turns(0, 5 * S), turns(1, 5 * S)) == ([5 * S, None], [5 * S, None])
    assert turns(0, 9 * S) == [None, None]
