"""A project of its own in a temporary folder: this tree's DAGs, one deployment file, real parts only."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.facts.role import RoleState, roles
from slipway.hosts import LocalHost
from slipway.spec import DeploymentSpec, load_deployment
from slipway.store import Run, Store, open_store

ROOT = Path(__file__).parents[2]
MODEL = ROOT / ".slipway" / "shared" / "SmolLM2-135M-Instruct"
AIRFLOW_PORT = 27080

CHANGES = {
    "name: demo": "name: e2e",
    "source: .slipway/shared/SmolLM2-135M-Instruct": f"source: {MODEL}",
    "gcs: 26379": "gcs: 27379",
    "dashboard: 28265": "dashboard: 27265",
    "block: 26400": "block: 27400",
    "workers: 26500": "workers: 27500",
    "port: 28000": "port: 27000",
    "seconds: 20": "seconds: 10",
}
"""What the end-to-end deployment has unlike the demo: its name, its ports, a shorter load test."""


@dataclass(frozen=True)
class Project:
    """The project's folder, with what a user does in it and what he can see."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "include" / "deployments" / "e2e.yaml"

    @property
    def spec(self) -> DeploymentSpec:
        return load_deployment(self.file)

    def slipway(self, *arguments: str, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        """The command line, as typed in the project's folder."""
        env = {**os.environ, "SLIPWAY_AIRFLOW_PORT": str(AIRFLOW_PORT), "COLUMNS": "120"}
        env.pop("AIRFLOW_HOME", None)
        argv = [sys.executable, "-m", "slipway.cli", *arguments]
        return subprocess.run(
            argv, cwd=self.folder, env=env, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def store(self) -> Store:
        with open_store(f"sqlite:///{self.folder}/.slipway/airflow/slipway.db") as store:
            return store

    def last_run(self) -> Run:
        return self.store().runs("e2e", 1)[0]

    def roles(self, root: str) -> dict[str, RoleState]:
        return {state.role: state for state in roles(LocalHost("here"), root) if state.alive}

    def airflow(self) -> dict[str, RoleState]:
        return self.roles(str(self.folder / ".slipway"))

    def served(self) -> dict[str, RoleState]:
        return self.roles(self.spec.root)

    def kill(self, state: RoleState) -> None:
        """kill -9 of a role's agent, then of everything in its session."""
        assert state.agent_pid
        os.kill(state.agent_pid, signal.SIGKILL)
        for pid in self.processes(state.session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait_for(self, role: str, wanted: Callable[[RoleState], bool], seconds: float = 180) -> RoleState:
        """A served role's state, as soon as it is as wanted."""
        deadline = time.monotonic() + seconds
        while not ((state := self.served().get(role)) and wanted(state)):
            assert time.monotonic() < deadline, f"{role} after {seconds} s: {state}"
            time.sleep(1)
        return state

    def processes(self, session: int | None) -> list[int]:
        """Living processes of a session."""
        found = []
        for pid in [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]:
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == session:
                    found.append(pid)
        return found

    def ask(self, question: str) -> str:
        """A chat completion of the served model, over HTTP."""
        body = {"model": "smollm2", "temperature": 0, "messages": [{"role": "user", "content": question}]}
        request = urllib.request.Request(
            f"{self.spec.endpoint}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["choices"][0]["message"]["content"])


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    assert (MODEL / "config.json").exists(), "the demo's model is missing: run `make model`"
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "plugins", folder / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "include" / "environments", folder / "include" / "environments")
    text = (ROOT / "include" / "deployments" / "demo.yaml").read_text()
    for old, new in CHANGES.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "include" / "deployments").mkdir()
    (folder / "include" / "deployments" / "e2e.yaml").write_text(text)
    made = Project(folder)
    try:
        yield made
    finally:
        done = made.slipway("down")
        assert done.returncode == 0, done.stdout + done.stderr
