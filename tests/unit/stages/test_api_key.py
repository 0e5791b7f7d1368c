"""The API key of the server: who is told where it lies, when it is written, and that no plan shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.commands import openai
from slipway.facts.role import RoleState
from slipway.spec import DeploymentSpec, Level
from slipway.stages import api_key, benchmark, serve
from slipway.stages.api_key import KeyFile
from slipway.stages.planned import planned

PYTHON = "/srv/env/bin/python"
FILE = "/srv/slipway/keys/pair.json"
KEY = "canary-canary"


@pytest.fixture
def guarded(spec: DeploymentSpec) -> DeploymentSpec:
    return spec.model_copy(update={"serve": spec.serve.model_copy(update={"api_key_connection": "pair_key"})})


def rounds(spec: DeploymentSpec, key: KeyFile, *, alive: bool) -> list[str]:
    parts = serve.wanted(spec, PYTHON, "/m")
    seen = {name: RoleState(part.name, "ready", alive, part.digest()) for name, part in parts.items()}
    return [action.why for step in serve.plan(spec, parts, seen, key) for action in step]


def test_a_server_that_runs_with_its_key_is_left_alone(guarded):
    assert rounds(guarded, KeyFile(api_key.text(KEY), as_wanted=True), alive=True) == []


def test_the_key_is_changed_while_no_server_runs(guarded):
    """What lies there is thus always what a server that runs was started with, wherever a try has ended."""
    changed = KeyFile(api_key.text(KEY), as_wanted=False)
    write = "write the API key of connection pair_key (0600)"
    assert rounds(guarded, changed, alive=True) == ["stop vLLM: its API key has changed", write, "start vLLM"]
    assert rounds(guarded, changed, alive=False) == [write, "start vLLM"]


def test_a_key_that_is_not_asked_for_any_more_is_removed(spec):
    left = KeyFile("", as_wanted=False)
    assert rounds(spec, left, alive=False) == ["remove the API key", "start vLLM"]


def test_a_connection_more_or_less_is_another_server_and_the_key_itself_names_none(guarded, spec):
    [with_key], [without] = (serve.wanted(each, PYTHON, "/m").values() for each in (guarded, spec))
    assert with_key.digest() != without.digest()
    assert with_key.request("/srv/slipway")["env_file"] == FILE
    assert without.request("/srv/slipway")["env_file"] is None


def test_only_the_part_that_serves_the_api_has_it(mp):
    guarded = mp.model_copy(update={"serve": mp.serve.model_copy(update={"api_key_connection": "pair_key"})})
    files = {name: part.env_file for name, part in serve.wanted(guarded, PYTHON, "/m").items()}
    assert files == {"a": FILE, "b": None}


def test_what_is_asked_below_v1_goes_with_the_key_that_lies_on_the_head(guarded, spec):
    bearer = {"env_file": FILE, "name": "VLLM_API_KEY"}
    below = [
        openai.models,
        lambda of: openai.completion(of, "x", max_tokens=1),
        lambda of: openai.chat(of, "x", max_tokens=1),
    ]
    assert [asked(guarded)["bearer"] for asked in below] == [bearer] * 3
    assert not any("bearer" in asked(spec) for asked in below)
    assert not any("bearer" in asked(guarded) for asked in (openai.health, openai.metrics))
    assert serve.liveness(guarded)["completion"]["bearer"] == bearer


def test_the_load_generator_is_told_the_variable(guarded, spec, tmp_path: Path):
    plans = [benchmark.load_plan(each, Level(users=1), tmp_path) for each in (guarded, spec)]
    assert [plan.api_key_env for plan in plans] == ["VLLM_API_KEY", None]


def test_the_plan_that_is_printed_names_the_connection_alone(guarded):
    actions = [action for _, action in planned(guarded, "vllm==1\n")]
    [write] = [action for action in actions if "API key" in action.why]
    assert (write.host, write.why) == ("a", "write the API key of connection pair_key (0600)")
    assert "********" in write.command.text()
    assert not any("password of that connection" in action.command.text() for action in actions)
    start = actions[-1]
    assert json.loads(start.command.stdin)["env_file"] == FILE


def test_no_text_of_ours_shows_the_key(guarded):
    put = api_key.put(guarded, KeyFile(api_key.text(KEY), as_wanted=False))
    assert KEY in put.command.stdin.decode()
    assert KEY not in put.command.text() + put.command.line() + put.why
    load = benchmark.LoadHost("/r", "python", Path("/cells"))
    assert KEY not in repr(replace(load, api_key=KEY))
