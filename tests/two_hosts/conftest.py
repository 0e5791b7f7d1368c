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
from testbed.project import ROOT, SHARED, Project, changed, open_project

from slipway.embedded import Settings
from slipway.embedded import up as airflow_up
from slipway.hooks.hosts import open_site
from slipway.spec import DeploymentSpec, parse_deployment
from slipway.stages.site import Site

BED = ROOT / "tests" / "testbed" / "hosts.py"
EXAMPLE = ROOT / "docs" / "examples" / "two-hosts.yaml"
SOURCE = "source: /opt/slipway/.slipway/shared/tiny-qwen3"
ENVIRONMENT = "lock: cpu\n  python: python3.11"


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

    @property
    def connections_file(self) -> Path:
        """The hosts' connections, as `airflow connections import` reads them."""
        return Path(self.told["known_hosts"]).with_name("connections.json")

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


@contextlib.contextmanager
def open_bed_project(bed: Bed, folder: Path, name: str, airflow_port: int, text: str) -> Iterator[Project]:
    """A project whose Airflow knows the hosts' connections; at the end what its files deployed is torn down."""
    with open_project(folder, name, airflow_port, text) as made:
        airflow_up(Settings(made.folder, made.airflow_port), print)
        done = made.airflow("connections", "import", str(bed.connections_file))
        assert done.returncode == 0, done.stderr
        try:
            yield made
        finally:
            for path in sorted(made.file.parent.glob("*.yaml")):
                made.slipway("up", str(path), "--job", "teardown")


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
def deployment(serving_python: str) -> str:
    """The example's text, with this machine's model, and with the serving environment that is here already."""
    return changed(
        EXAMPLE.read_text(),
        {
            SOURCE: f"source: {SHARED}/tiny-qwen3",
            ENVIRONMENT: f"existing: {serving_python}",
            "seconds: 10": "seconds: 5",
        },
    )


@pytest.fixture(scope="session")
def spec(deployment: str) -> DeploymentSpec:
    return parse_deployment(deployment, origin="two-hosts.yaml", base=ROOT)


@pytest.fixture(scope="session")
def lines() -> list[str]:
    """Everything that the stages said."""
    return []


@pytest.fixture(scope="session")
def opened(bed: Bed, spec: DeploymentSpec, lines: list[str]) -> Callable[..., AbstractContextManager[Site]]:
    """Opens the two hosts as an Airflow task does: by the connections' ids."""

    def say(line: str) -> None:
        lines.append(line)
        print(line)

    return lambda *, partial=False: open_site(spec, "", say, partial=partial)
