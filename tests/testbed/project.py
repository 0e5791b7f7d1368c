"""A project of its own in a folder: this tree's DAGs, one deployment file, an Airflow that nobody else uses."""

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
from typing import Any

import httpx
from testbed.prober import Answers, probing

from slipway.embedded.rest import Login
from slipway.embedded.settings import load_settings
from slipway.facts.role import RoleState, roles
from slipway.hosts import LocalHost
from slipway.spec import DeploymentSpec, load_deployment
from slipway.store import Run, Store, open_store

ROOT = Path(__file__).parents[2]
SHARED = ROOT / ".slipway" / "shared"


@dataclass(frozen=True)
class Project:
    """The project's folder, with what a user does in it and what he can see."""

    folder: Path
    name: str
    airflow_port: int

    @property
    def file(self) -> Path:
        return self.folder / "include" / "deployments" / f"{self.name}.yaml"

    @property
    def home(self) -> Path:
        return self.folder / ".slipway" / "airflow"

    @property
    def spec(self) -> DeploymentSpec:
        return load_deployment(self.file)

    def add(self, name: str, deployment: str) -> Path:
        """One more deployment file."""
        path = self.file.with_name(f"{name}.yaml")
        path.write_text(deployment)
        return path

    def slipway(self, *arguments: str, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        """The command line, as typed in the project's folder."""
        env = {**os.environ, "SLIPWAY_AIRFLOW_PORT": str(self.airflow_port), "COLUMNS": "120"}
        env.pop("AIRFLOW_HOME", None)
        return self._run([sys.executable, "-m", "slipway.cli", *arguments], env, timeout_s)

    def airflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Airflow's own command line, speaking to this project's Airflow."""
        env = {**os.environ, "AIRFLOW_HOME": str(self.home)}
        return self._run([sys.executable, "-m", "airflow", *arguments], env, 120)

    def _run(self, argv: list[str], env: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=self.folder, env=env, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def store(self) -> Store:
        with open_store(f"sqlite:///{self.home}/slipway.db") as store:
            return store

    def last_run(self, name: str = "") -> Run:
        return self.store().runs(name or self.name, 1)[0]

    def acting(self) -> dict[str, int]:
        """Acting commands of the last run, by stage."""
        return {stage.name: stage.actions for stage in self.store().stages(self.last_run().id)}

    def roles(self, root: str) -> dict[str, RoleState]:
        return {state.role: state for state in roles(LocalHost("here"), root) if state.alive}

    def airflow_parts(self) -> dict[str, RoleState]:
        return self.roles(str(self.folder / ".slipway"))

    def served(self) -> dict[str, RoleState]:
        """What runs on this machine; for deployments whose hosts are local."""
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

    def login(self) -> Login:
        """Of this Airflow's own user."""
        return load_settings(self.folder, {"SLIPWAY_AIRFLOW_PORT": str(self.airflow_port)}).login()

    def decide(self, option: str, seconds: float = 240) -> None:
        """Answer the one required action of this Airflow, once it shows, as its user over its REST API."""
        deadline = time.monotonic() + seconds
        login = self.login()
        with httpx.Client(base_url=login.url, timeout=20, trust_env=False) as http:
            while not (open_ones := self._required_actions(http, login)):
                assert time.monotonic() < deadline, f"nobody was asked within {seconds} s"
                time.sleep(1)
            [task] = open_ones
            place = f"{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}/{task['map_index']}"
            time.sleep(2)
            http.patch(f"/api/v2/dags/{place}/hitlDetails", json={"chosen_options": [option]}).raise_for_status()

    def _required_actions(self, http: httpx.Client, login: Login) -> list[dict[str, Any]]:
        """Tasks that wait for a person."""
        with contextlib.suppress(httpx.TransportError):
            if "Authorization" not in http.headers:
                asked = http.post("/auth/token", json={"username": login.user, "password": login.password})
                http.headers["Authorization"] = f"Bearer {asked.json()['access_token']}"
            found = http.get("/api/v2/dags/~/dagRuns/~/hitlDetails", params={"response_received": False})
            return [each["task_instance"] for each in found.raise_for_status().json()["hitl_details"]]
        return []

    def probing(self) -> contextlib.AbstractContextManager[Answers]:
        """Requests to the served model, sent all through."""
        return probing(self.spec.endpoint, self.spec.serve.model_name)

    def ask(self, question: str) -> str:
        """A chat completion of the served model, over HTTP."""
        body = {
            "model": self.spec.serve.model_name,
            "temperature": 0,
            "messages": [{"role": "user", "content": question}],
        }
        request = urllib.request.Request(
            f"{self.spec.endpoint}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["choices"][0]["message"]["content"])


TINY = {
    f"source: {SHARED}/SmolLM2-135M-Instruct": f"source: {SHARED}/tiny-qwen3",
    "name: smollm2-135m-instruct": "name: tiny-qwen3",
    "max-model-len: 2048": "max-model-len: 512",
    '{ask: "What is the capital of France?", expect: Paris}': "null",
    "smoke:\n": "smoke:\n  temperature: 1.0\n",
}
"""Changes to a demo whose model is a random one: quicker, and without a sane answer."""


@contextlib.contextmanager
def open_demo(
    folder: Path, serving_python: str, name: str, thousand: int, changes: dict[str, str], more: str = ""
) -> Iterator[Project]:
    """The demo as a project of its own, with the serving environment that is there, and with its own ports, Airflow's
    too, from ``thousand`` * 1000 on. ``changes`` are made to that, ``more`` is put behind it."""
    own = {
        "name: demo": f"name: {name}",
        "source: .slipway/shared": f"source: {SHARED}",
        "gcs: 26379": f"gcs: {thousand}379",
        "dashboard: 28265": f"dashboard: {thousand}265",
        "block: 26400": f"block: {thousand}400",
        "workers: 26500": f"workers: {thousand}500",
        "port: 28000": f"port: {thousand}000",
    }
    text = changed((ROOT / "include" / "deployments" / "demo.yaml").read_text(), own | changes) + more
    with open_project(sharing_environment(folder, serving_python), name, thousand * 1000 + 80, text) as made:
        yield made


def sharing_environment(folder: Path, serving_python: str) -> Path:
    """The folder of a project, with the serving environment that is there: its stage takes two minutes."""
    host = folder / ".slipway" / "host"
    host.mkdir(parents=True)
    (host / "environments").symlink_to(Path(serving_python).parents[2])
    return folder


@contextlib.contextmanager
def open_project(folder: Path, name: str, airflow_port: int, deployment: str) -> Iterator[Project]:
    """A project with one deployment file; what was started for it is stopped at the end."""
    assert (SHARED / "SmolLM2-135M-Instruct" / "config.json").exists(), "the models are missing: run `make model`"
    for part in ("dags", "plugins"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "include" / "environments", folder / "include" / "environments")
    project = Project(folder, name, airflow_port)
    project.file.parent.mkdir()
    project.add(name, deployment)
    try:
        yield project
    finally:
        done = project.slipway("down")
        assert done.returncode == 0, done.stdout + done.stderr


def changed(text: str, changes: dict[str, str]) -> str:
    """A deployment file with some of its lines changed, each of which must be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text
