"""The test bed of two hosts, and a deployment for it: a tiny random Qwen3 with tensor parallel 2 across both."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slipway.commands import python_env
from slipway.hooks.hosts import open_site
from slipway.spec import DeploymentSpec, load_deployment, parse_deployment
from slipway.spec.environments import load_lock
from slipway.stages import environment
from slipway.stages.site import Site

ROOT = Path(__file__).parents[2]
BED = ROOT / "tests" / "testbed" / "hosts.py"
MODEL = ROOT / ".slipway" / "shared" / "SmolLM2-135M-Instruct"

DEPLOYMENT = """
version: 1
name: pair
rehearsal: true
root: /srv/two-hosts
hosts:
  - {{name: one, connection: slipway_h1, address: 10.77.0.1}}
  - {{name: two, connection: slipway_h2, address: 10.77.0.2}}
env: {{GLOO_SOCKET_IFNAME: eth0}}
environment: {{existing: {python}}}
weights: {{source: {model}, name: tiny-qwen3}}
ray: {{object_store_bytes: 104857600}}
serve:
  model_name: tiny
  host: 0.0.0.0
  tensor_parallel: 2
  args: {{dtype: bfloat16, enforce-eager: true, max-model-len: 512, max-num-seqs: 4}}
  env: {{VLLM_CPU_KVCACHE_SPACE: "1"}}
  ready_timeout_s: 300
smoke: {{temperature: 1.0}}      # random weights: the likeliest token only repeats the chat template's last newline
benchmark: {{levels: [{{users: 1}}]}}
"""


@dataclass
class Bed:
    """What ``hosts.py up`` said."""

    told: dict[str, Any] = field(default_factory=dict)

    def up(self) -> dict[str, Any]:
        """Set up what is missing; answers what was made now."""
        self.told = self._call("up")
        return self.told

    def down(self) -> None:
        self._call("down")

    def stop_sshd(self, name: str) -> None:
        """End a host's sshd; ``up`` starts it again. Returns when nothing listens there any more."""
        host = self.told["hosts"][name]
        os.kill(host["sshd_pid"], signal.SIGTERM)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex((host["address"], 22)):
                    return
            time.sleep(0.05)
        raise AssertionError(f"sshd of {name} still listens")

    def pids(self, name: str) -> dict[int, str]:
        """Everything that runs on a host: command lines by process id."""
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout
        found = {}
        for pid in map(int, listed.split()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        return found

    def _call(self, verb: str) -> dict[str, Any]:
        argv = [sys.executable, str(BED), verb]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """The bed, with its connections in the environment; one that was up before the tests stays up after them."""
    made = Bed()
    reused = not made.up()["made"]
    with pytest.MonkeyPatch.context() as patch:
        for name, connection in made.told["environment"].items():
            patch.setenv(name, connection)
        yield made
    if not reused:
        made.down()


@pytest.fixture(scope="session")
def interpreter() -> str:
    """The demo's serving environment, made by the stage that makes it for everybody, where it is not there yet."""
    demo = load_deployment(ROOT / "include" / "deployments" / "demo.yaml")
    lock = load_lock(ROOT / "include" / "environments", demo)
    with open_site(demo, lock, print) as site:
        environment.converge(site)
    return python_env.python(demo, lock)


@pytest.fixture(scope="session")
def spec(interpreter: str, tmp_path_factory: pytest.TempPathFactory) -> DeploymentSpec:
    assert (MODEL / "config.json").exists(), "the demo's model is missing: run `make model`"
    model = tmp_path_factory.mktemp("shared") / "tiny-qwen3"
    make = [interpreter, "-m", "slipway.demo.tiny", "--out", str(model), "--tokenizer", str(MODEL)]
    subprocess.run(make, check=True, env={"PYTHONPATH": str(ROOT / "include"), "PATH": "/usr/bin:/bin"})
    return parse_deployment(DEPLOYMENT.format(python=interpreter, model=model), origin="pair.yaml", base=ROOT)


@pytest.fixture(scope="session")
def lines() -> list[str]:
    """Everything that the stages said."""
    return []


@pytest.fixture(scope="session")
def opened(bed: Bed, spec: DeploymentSpec, lines: list[str]) -> Callable[[], AbstractContextManager[Site]]:
    """Opens the two hosts as an Airflow task does: by the connections' ids."""

    def say(line: str) -> None:
        lines.append(line)
        print(line)

    return lambda: open_site(spec, "", say)
