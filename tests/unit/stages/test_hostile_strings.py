"""Every string of a deployment file reaches a host as a word or as JSON: shown with a real shell, over the whole plan.

The free strings of the file are found by walking it, so that a new key is part of the proof.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from slipway.errors import SpecError
from slipway.shell import Command
from slipway.spec import DeploymentSpec, DeployOverrides, parse_deployment, parse_overrides
from slipway.spec.load import canonical
from slipway.stages.planned import planned

MARK = "HOSTILE"
TOUCHES = ("$(touch {mark})", "`touch {mark}`", "; touch {mark};", "' ; touch {mark} '", '" && touch {mark} "')
PIECES = (*TOUCHES, "\n", "&", "| sh", "${{IFS}}", "\\", "*", "~", "{{{{ conf }}}}", "--evil", "ä\u202e", "<<EOF", "%s")
HOSTILE = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join)
BASE = """
version: 1
name: pair
description: d
tags: [t]
root: /srv/slipway
env: {NCCL_DEBUG: INFO}
hosts:
  - {name: a, connection: ssh_a, address: 10.0.0.1, gpus: 2, env: {NCCL_IB_HCA: mlx5}}
  - {name: b, connection: ssh_b, address: 10.0.0.2, gpus: 2}
environment: {lock: cpu, python: python3.11, fallback_indexes: [https://wheels.example/simple], wheelhouse: /w}
weights: {source: /shared/tiny, name: tiny, allow_pickle: [a.bin]}
ray: {temp_dir: /tmp/r, dashboard_host: 127.0.0.1}
serve: {model_name: tiny, host: 10.0.0.1, tensor_parallel: 4, env: {VLLM_X: y}, api_key_connection: k,
        args: {chat-template: x, lora-modules: [a]}}
smoke: {question: {ask: Capital of France?, expect: Paris}}
benchmark: {levels: [{users: 1}]}
"""


def strings(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the strings of a file are."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from strings(inner, (*path, key))


def base() -> dict[str, Any]:
    spec = parse_deployment(BASE, origin="pair.yaml", base=Path("/"))
    content: dict[str, Any] = json.loads(canonical(spec))
    return content


PLACES = list(strings(base()))


def replaced(place: tuple[Any, ...], value: str) -> DeploymentSpec | None:
    """The file with one string replaced; None where it may not be so."""
    content = base()
    holder = content
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    try:
        return DeploymentSpec.model_validate_json(json.dumps(content))
    except ValidationError:
        return None


def commands(spec: DeploymentSpec) -> Iterator[Command]:
    for _stage, action in planned(spec, "a lock"):
        yield action.command
        yield from action.starts


def words_by_a_shell(command: Command, folder: Path) -> list[str]:
    """What a real shell makes of the line that is sent for a command: its words, in place of running them."""
    shown = Command(("printf", "%s\\0", *command.argv), env=command.env)
    done = subprocess.run(["/bin/sh", "-c", shown.line()], cwd=folder, capture_output=True, check=True, timeout=20)
    return done.stdout.decode().split("\0")[:-1]


def test_the_places_are_those_that_a_person_may_fill() -> None:
    named = {".".join(map(str, place)) for place in PLACES}
    assert {
        "hosts.0.env.NCCL_IB_HCA",
        "serve.args.chat-template",
        "weights.source",
        "serve.model_name",
        "root",
    } <= named


def test_what_is_filled_in_reaches_a_command() -> None:
    """Else the tests below would prove nothing."""
    value = f"/x$(touch {MARK})"
    reached = {place for place in PLACES if (spec := replaced(place, value)) and "HOSTILE" in said(spec)}
    named = {".".join(map(str, place)) for place in reached}
    assert {
        "root",
        "weights.source",
        "serve.model_name",
        "serve.args.chat-template",
        "hosts.0.env.NCCL_IB_HCA",
    } <= named
    assert len(named) >= 12


def said(spec: DeploymentSpec) -> str:
    return "".join(command.line() + command.stdin.decode(errors="replace") for command in commands(spec))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_shell_runs_no_part_of_it(place: tuple[Any, ...], tmp_path: Path) -> None:
    for piece in PIECES:
        spec = replaced(place, f"/x{piece.format(mark=MARK)}")
        for command in commands(spec) if spec else ():
            if MARK in command.line():
                assert words_by_a_shell(command, tmp_path) == list(command.argv)
                require_data_alone(command)
    assert not list(tmp_path.iterdir())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=HOSTILE)
def test_no_mixture_does_either(place: tuple[Any, ...], value: str, tmp_path: Path) -> None:
    spec = replaced(place, value.format(mark=MARK))
    for command in commands(spec) if spec else ():
        if MARK in command.line():
            assert words_by_a_shell(command, tmp_path) == list(command.argv)
            require_data_alone(command)
    assert not list(tmp_path.iterdir())


@given(value=HOSTILE, name=st.sampled_from(["chat-template", "tokenizer", "quantization"]))
def test_nor_of_a_conf(value: str, name: str) -> None:
    spec = parse_deployment(BASE, origin="pair.yaml", base=Path("/"))
    conf = {"serve_args": {name: value.format(mark=MARK)}, "reason": value[:500]}
    try:
        changed, _ = parse_overrides(conf, spec, DeployOverrides)
    except SpecError:
        return
    for command in commands(changed):
        require_data_alone(command)


def require_data_alone(command: Command) -> None:
    """No word that a program would run as a text of its own language holds anything of the file."""
    for switch, text in zip(command.argv, command.argv[1:], strict=False):
        if switch in ("-c", "-ec", "-euc", "-e"):
            assert MARK not in text, command
    if command.stdin and MARK.encode() in command.stdin:
        json.loads(command.stdin)
