from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import LoadTestFailed
from slipway.loadgen.plan import LoadPlan, load_load_plan, parse_load_plan

SMALLEST: dict[str, Any] = {"base_url": "http://h:8000", "model": "m", "users": 1, "seconds": 10, "folder": "/f"}


def test_a_plan_comes_back_from_its_json() -> None:
    plan = LoadPlan(**SMALLEST, endpoint="completions", ignore_eos=False, spawn_rate=0.5, api_key_env="A", seed=3)
    assert parse_load_plan(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"users": 0}, "plan"),
        ({"rate": 2.0}, "plan"),
        ({"users": -1}, "users"),
        ({"shared_prefix_tokens": 32}, "plan"),
        ({"users": "10"}, "users"),
        ({"seconds": -1}, "seconds"),
        ({"spawn_rate": 0}, "spawn_rate"),
        ({"endpoint": "embeddings"}, "endpoint"),
        ({"base_url": "ftp://h"}, "base_url"),
        ({"base_url": "h:8000"}, "base_url"),
        ({"usres": 3}, "usres"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(LoadTestFailed, match=rf"\n  {field}: "):
        parse_load_plan(json.dumps(SMALLEST | change))


@pytest.mark.parametrize("text", ["", "[]", "{", b"\xff"])
def test_what_is_no_plan_is_refused(text: str | bytes) -> None:
    with pytest.raises(LoadTestFailed, match=r"the load plan is wrong:\n  plan: "):
        parse_load_plan(text)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(LoadTestFailed, match="model: Field required"):
        parse_load_plan(json.dumps({name: value for name, value in SMALLEST.items() if name != "model"}))


def test_prompts_lie_in_the_folder_unless_they_are_given() -> None:
    assert LoadPlan(**SMALLEST).prompts_path == Path("/f/prompts.jsonl")
    assert LoadPlan(**SMALLEST, prompts_file="/p.jsonl").prompts_path == Path("/p.jsonl")


def test_no_request_is_waited_for_longer_than_it_may_take() -> None:
    assert LoadPlan(**SMALLEST).drain_s == 30
    assert LoadPlan(**SMALLEST, request_timeout_s=2.0).drain_s == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LoadTestFailed, match="cannot read the load plan"):
        load_load_plan(tmp_path / "none.json")


def test_an_open_loop_has_one_locust_user_a_process() -> None:
    plan = LoadPlan(**(SMALLEST | {"users": 0}), rate=2.5, processes=3)
    assert parse_load_plan(plan.to_json()) == plan
    assert (plan.locust_users, LoadPlan(**SMALLEST | {"users": 7}).locust_users) == (3, 7)
    assert plan.longest_s == plan.warmup_s + plan.seconds + plan.drain_s
