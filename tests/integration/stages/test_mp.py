"""Backend mp for real: the parts of one vLLM on two addresses of this machine, without Ray, from start to teardown.

Its API asks for a key.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from slipway.commands import openai, vllm
from slipway.errors import ServerDied
from slipway.facts.role import role, roles
from slipway.facts.vllm import answers, metrics_text
from slipway.hosts import LocalHost
from slipway.results.prometheus import parse_metrics
from slipway.spec import Level, parse_deployment
from slipway.stages import benchmark, ray_cluster, ready, serve, teardown
from slipway.stages.benchmark import LoadHost
from slipway.stages.site import Site

ROOT = Path(__file__).parents[3]
MODEL = ROOT / ".slipway" / "shared" / "tiny-qwen3"
SHARED_MEMORY = Path("/dev/shm")
KEY = "a-key-for-this-server-alone"

DEPLOYMENT = """
version: 1
name: parts
rehearsal: true
root: {root}
hosts: [{{name: one, address: 127.0.0.2}}, {{name: two, address: 127.0.0.3}}]
env: {{GLOO_SOCKET_IFNAME: lo}}
environment: {{existing: {python}}}
weights: {{source: {model}, name: tiny-qwen3, stage: false}}
ray: {{ports: {{gcs: 23000, dashboard: 23001, block: 23010, workers: 23100}}}}
serve:
  model_name: tiny
  host: 127.0.0.2
  port: 23002
  backend: mp
  tensor_parallel: 2
  args: {{dtype: bfloat16, enforce-eager: true, max-model-len: 512, max-num-seqs: 4}}
  env: {{VLLM_CPU_KVCACHE_SPACE: "1"}}
  ready_timeout_s: 240
  drain_s: 60
  api_key_connection: parts_key
benchmark: {{levels: [{{users: 1}}], seconds: 2, warmup_s: 0, prompt_tokens: 8, output_tokens: 4}}
"""


@pytest.fixture(scope="module")
def in_shared_memory() -> set[Path]:
    """What was there before the first part began."""
    return set(SHARED_MEMORY.iterdir())


@pytest.fixture(scope="module")
def site(serving_python: str, in_shared_memory: set[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    assert (MODEL / "config.json").exists(), "the rehearsal's model is missing: run `make model`"
    root = tmp_path_factory.mktemp("mp")
    text = DEPLOYMENT.format(root=root, python=serving_python, model=MODEL)
    spec = parse_deployment(text, origin="parts.yaml", base=ROOT)
    hosts = {host.name: LocalHost(host.name) for host in spec.hosts}
    opened = Site(spec, hosts, "", print, api_key=lambda: KEY)
    opened.prepare()
    yield opened
    teardown.stop_all(LocalHost("one"), str(root), print)


def part(site: Site, index: int):
    host = site.spec.hosts[index]
    return role(site.hosts[host.name], site.root, vllm.role_name(site.spec, host))


def running_requests(site: Site) -> float:
    return parse_metrics(metrics_text(site.head, site.spec))["vllm:num_requests_running"]


def test_two_parts_without_ray_answer_a_completion(site):
    assert ray_cluster.converge(site).actions == 0
    assert serve.converge(site).actions == 3  # the key's file, and a start on each host
    assert ready.converge(site).detail["time_to_ready_s"] > 0
    assert sorted(state.role for state in roles(site.head, site.root)) == ["parts.vllm", "parts.vllm-worker"]
    [answer] = answers(site.head, site.spec, [openai.completion(site.spec, "Hello", max_tokens=4)])
    assert answer["status"] == 200


def test_the_same_again_does_nothing(site):
    sessions = [part(site, 0).session, part(site, 1).session]
    assert serve.converge(site).actions == 0
    assert [part(site, 0).session, part(site, 1).session] == sessions


@pytest.mark.parametrize(
    ("path", "without", "with_key"),
    [("/v1/models", 401, 200), ("/health", 200, 200), ("/metrics", 200, 200), ("/version", 200, 200)],
)
def test_below_v1_the_key_is_asked_for(site, path, without, with_key):
    asked = ({}, {"Authorization": "Bearer another-key"}, {"Authorization": f"Bearer {KEY}"})
    given = [httpx.get(site.spec.endpoint + path, headers=headers, trust_env=False) for headers in asked]
    assert [answer.status_code for answer in given] == [without, without, with_key]


def test_a_load_test_has_the_key(site, tmp_path):
    load = LoadHost(str(tmp_path / "load"), sys.executable, tmp_path / "users-1")
    cell = benchmark.converge(site, load, Level(users=1, spawn_rate=10))
    assert (cell.errors, cell.requests > 0) == ({}, True)


@pytest.mark.slow
def test_a_part_that_died_is_named_and_all_start_anew(site):
    os.killpg(part(site, 1).session, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while part(site, 1).alive and time.monotonic() < deadline:
        time.sleep(0.2)
    with pytest.raises(ServerDied, match=r"\[two\] vLLM ended: signal 9"):
        ready.converge(site)
    serve.converge(site)
    assert ready.converge(site).detail["restarts"] == 0


def test_teardown_lets_a_request_end_and_then_every_part(site, in_shared_memory):
    assert set(SHARED_MEMORY.iterdir()) > in_shared_memory
    request = openai.completion(site.spec, "Hello", max_tokens=400)
    body = {**request["json"], "ignore_eos": True}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(answers, site.head, site.spec, [{**request, "json": body}])
        while not running_requests(site):
            assert not asked.done(), "answered before it could be seen to run"
        teardown.converge(site)
        [answer] = asked.result()
    assert answer["status"] == 200
    assert json.loads(answer["body"])["usage"]["completion_tokens"] == 400
    assert roles(site.head, site.root) == []
    assert set(SHARED_MEMORY.iterdir()) <= in_shared_memory
