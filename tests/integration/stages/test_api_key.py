"""A server that asks for an API key, under Slipway's agent: all that asks it has the key, and nothing shows it."""

from __future__ import annotations

import http.client
import json
import secrets
import shlex
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from slipway.commands import agent, evidence, kit, locust, vllm
from slipway.facts.vllm import pulse
from slipway.hosts import LocalHost
from slipway.results.plan import LoadPlan
from slipway.spec import Layout, Level, parse_deployment
from slipway.stages import benchmark, ready, serve, smoke, teardown
from slipway.stages.benchmark import LoadHost
from slipway.stages.site import Site

SERVER = Path(__file__).parent / "guarded.py"
DEPLOYMENT = """
version: 1
name: one
root: {root}
rehearsal: true
hosts: [{{name: here, address: 127.0.0.2, gpus: 1}}]
environment: {{existing: {python}}}
weights: {{source: /m, name: m, stage: false}}
serve: {{model_name: m, port: {port}, backend: mp, tensor_parallel: 1, api_key_connection: one_key}}
smoke: {{timeout_s: 5, question: {{ask: Capital of France?, expect: Paris}}}}
verdict: {{accuracy_floor: 0.01}}
benchmark:
  levels: [{{users: 2}}]
  seconds: 1
  warmup_s: 0
  prompt_tokens: 8
  output_tokens: 4
"""


@dataclass
class Bed:
    site: Site
    said: list[str]
    load: LoadHost

    @property
    def key_file(self) -> Path:
        return Path(Layout(self.site.root).api_key("one"))

    def with_key(self, key: str) -> Site:
        return replace(self.site, api_key=lambda: key)

    def status(self, path: str, key: str = "") -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with closing(http.client.HTTPConnection("127.0.0.1", self.site.spec.serve.port, timeout=5)) as connection:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    monkeypatch.setattr(ready, "LOOK_EVERY_S", 0.2)
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(SERVER)])} "$@"\n')
    python.chmod(0o755)
    text = DEPLOYMENT.format(root=tmp_path / "root", python=python, port=port)
    said: list[str] = []
    site = Site(parse_deployment(text, origin="one.yaml", base=Path("/")), {"here": LocalHost("here")}, "", said.append)
    site.prepare()
    yield Bed(site, said, LoadHost(str(tmp_path / "load"), sys.executable, tmp_path / "cells" / "users-2"))
    kit.reply(site.head.run(agent.stop(site.root, vllm.role_name(site.spec))))


def deployed(bed: Bed, site: Site) -> list[Any]:
    """What the stages keep of a deploy with its load test."""
    outcomes = [serve.converge(site), ready.converge(site), smoke.converge(site)]
    smoke.require_passed(outcomes[-1].detail["checks"])
    cell = benchmark.converge(site, bed.load, Level(users=2, spawn_rate=10))
    assert (cell.errors, cell.requests > 0) == ({}, True)
    return [*outcomes, cell]


def test_every_question_of_ours_has_the_key_and_nothing_shows_it(bed: Bed, tmp_path: Path) -> None:
    key = f"canary-{secrets.token_hex(16)}"
    site = bed.with_key(key)
    kept = deployed(bed, site)
    assert (bed.status("/v1/models"), bed.status("/v1/models", key), bed.status("/health")) == (401, 200, 200)
    assert pulse(site.head, site.spec).status == 200
    assert stat.S_IMODE(bed.key_file.stat().st_mode) == 0o600
    assert list(Path(bed.load.root).glob("keys/*")) == [], "the load generator's key is gone with it"
    given = kit.reply(site.head.run(evidence.collect(site.spec, (), {}, 0.0)))
    shown = [repr(kept), json.dumps(site.commands), "\n".join(bed.said), json.dumps(given), *command_lines()]
    shown += [file.read_bytes().decode(errors="replace") for file in files(tmp_path) if file != bed.key_file]
    assert [text for text in shown if key in text] == []
    assert any(str(bed.key_file) in text for text in shown), "the places are the right ones: its file is named there"
    teardown.converge(site)
    assert not bed.key_file.exists()


def command_lines() -> Iterator[str]:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield place.read_bytes().decode(errors="replace")


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_another_key_restarts_the_server_and_the_same_one_does_not(bed: Bed) -> None:
    first, second = "first-secret-key", "second-secret-key"
    assert serve.converge(bed.with_key(first)).actions == 2
    ready.converge(bed.site)
    assert serve.converge(bed.with_key(first)).actions == 0
    assert serve.converge(bed.with_key(second)).actions == 3
    ready.converge(bed.site)
    assert (bed.status("/v1/models", first), bed.status("/v1/models", second)) == (401, 200)


def test_a_load_that_could_not_be_made_leaves_no_key(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(load: LoadHost, job: object) -> None:
        assert stat.S_IMODE(Path(Layout(load.root).api_key(locust.cell("", plan).name)).stat().st_mode) == 0o600
        raise KeyboardInterrupt

    plan = LoadPlan(base_url="http://127.0.0.1:1", model="m", users=1, seconds=1.0, folder=str(bed.load.folder))
    monkeypatch.setattr(benchmark, "_start_anew", broken)
    with pytest.raises(KeyboardInterrupt):
        benchmark.measure_load(replace(bed.load, api_key="a-secret-key"), plan, print)
    assert list(Path(bed.load.root).glob("keys/*")) == []
