"""A real API server of Airflow's on a free port of 127.0.0.1, with two teams' deployments in the store.

``test_page.py`` adds one more, the blue team's ``quay``.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from testbed.measured import uneven

from slipway.spec import DeploymentSpec, load_deployment
from slipway.store import RunStart, SmokeCheck, State, Store, open_store

ROOT = Path(__file__).parents[2]
DEMO = load_deployment(ROOT / "include" / "deployments" / "demo.yaml")
USERS = "admin:admin,red-viewer:viewer:red,nobody:"
"""Name, role, team. The last one may log in and nothing else."""
COMMANDS = """
import sys
from airflow.cli.cli_parser import get_parser

for line in sys.argv[1:]:
    arguments = get_parser().parse_args(line.split())
    arguments.func(arguments)
"""
CANARY = "canary-8f3e1d"
"""Stands for a secret that got into the store."""
LEFT = {
    "users-10/report.html": "<script>alert(1)</script>",
    "users-10/requests.parquet": "PAR1",
    "evidence-serve-1/head/red vllm.log": "it ended",
}
"""Files of each deploy run, by name."""
MEASURED = uneven(client={"cpu_share": 0.12}, server={"generation_tokens": 40_961.0})


@dataclass(frozen=True)
class Airflow:
    """A server that answers, and the home that it was started in."""

    home: Path
    port: int
    passwords: Mapping[str, str]
    runs: dict[str, int] = field(default_factory=dict)
    """Ids of the runs in the store, by deployment and job."""
    revisions: dict[str, str] = field(default_factory=dict)
    """Ids of the revisions in the store, by deployment."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, user: str) -> str:
        login = {"username": user, "password": self.passwords[user]}
        answer = httpx.post(f"{self.url}/auth/token", json=login, trust_env=False, timeout=30)
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["access_token"]
        return token

    @contextmanager
    def client(self, user: str | None = None) -> Iterator[httpx.Client]:
        headers = {"Authorization": f"Bearer {self.token(user)}"} if user else {}
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30) as client:
            yield client


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("airflow")
    airflow = Airflow(home, free_port(), {user.split(":")[0]: f"password of {user}" for user in USERS.split(",")})
    (home / "passwords.json").write_text(json.dumps(airflow.passwords))
    environment = environment_of(airflow)
    run_commands(environment, "db migrate", "teams create red", "teams create blue", "dags reserialize")
    with open_store(f"sqlite:///{home / 'slipway.db'}") as store:
        _fill(store, airflow)
    for team in ("red", "blue"):
        _leave_files(home, airflow.runs[f"{team}.deploy"])
    with open_server(airflow, environment):
        yield airflow


def environment_of(airflow: Airflow) -> dict[str, str]:
    """Every deployment's DAGs are in the bundle of its team."""
    bundles = []
    for team, names in {"red": ["red"], "blue": ["blue", "quay"]}.items():
        folder = airflow.home / "dags" / team
        folder.mkdir(parents=True)
        for name in names:
            wiring = f"from airflow.sdk import DAG\nwith DAG('{name}.deploy', schedule=None) as dag:\n    pass\n"
            (folder / f"{name}.py").write_text(wiring)
        path = "airflow.dag_processing.bundles.local.LocalDagBundle"
        bundles.append({"name": team, "classpath": path, "kwargs": {"path": str(folder)}, "team_name": team})
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    options = {
        "CORE__MULTI_TEAM": "True",
        "CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": USERS,
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(airflow.home / "passwords.json"),
        "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "API__HOST": "127.0.0.1",
        "API__PORT": str(airflow.port),
        "API__WORKERS": "1",
        "API_AUTH__JWT_SECRET": "not a secret, and long enough for the algorithm that signs with it, which is HS512",
    }
    own = {"AIRFLOW_HOME": str(airflow.home), "PYTHONPATH": str(ROOT / "include")}
    return {**inherited, **own, **{f"AIRFLOW__{name}": value for name, value in options.items()}}


def run_commands(environment: Mapping[str, str], *commands: str) -> None:
    """Airflow's commands, one after the other in one process: its start takes longer than they do."""
    command = [sys.executable, "-c", COMMANDS, *commands]
    home = environment["AIRFLOW_HOME"]
    ended = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@contextmanager
def open_server(airflow: Airflow, environment: Mapping[str, str]) -> Iterator[None]:
    log = airflow.home / "api-server.log"
    command = [sys.executable, "-m", "airflow", "api-server"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=airflow.home, stdout=output, stderr=output)
    try:
        _wait_healthy(airflow, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            process.kill()


def _wait_healthy(airflow: Airflow, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{airflow.url}/api/v2/monitor/health", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    raise AssertionError(log.read_text())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _fill(store: Store, airflow: Airflow) -> None:
    runs = airflow.runs
    for name, rehearsal in (("red", True), ("blue", False)):
        spec = DEMO.model_copy(update={"name": name, "rehearsal": rehearsal})
        airflow.revisions[name] = store.save_revision(spec)
        run_id = runs[f"{name}.deploy"] = _begin(store, spec, "deploy")
        _deploy(store, spec, run_id)
        runs[f"{name}.benchmark"] = _begin(store, spec, "benchmark")


def _leave_files(home: Path, run_id: int) -> None:
    """What a run keeps beside its figures; and a link to a secret, which somebody put there."""
    folder = home / "slipway-artifacts" / f"run-{run_id}"
    for name, text in LEFT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "link.txt").symlink_to(home / "passwords.json")
    (folder / "linked").symlink_to(home)


def _begin(store: Store, spec: DeploymentSpec, job: str) -> int:
    revision = store.save_revision(spec)
    conf: dict[str, Any] = {"serve_args": {"hf-token": CANARY}}
    start = RunStart(spec.name, job, f"{spec.name}.{job}", "r1", revision, spec.rehearsal, "a new driver", conf)
    return store.begin_run(start)


def _deploy(store: Store, spec: DeploymentSpec, run_id: int) -> None:
    revision = store.save_revision(spec)
    stage = store.begin_stage(run_id, "serve")
    store.finish_stage(stage, actions=2, detail={"url": f"http://me:{CANARY}@10.0.0.1", "hosts": ["head"]})
    store.set_current(run_id, revision, spec.endpoint)
    store.record_smoke(run_id, [SmokeCheck("models", True, "one model", 0.02, {"headers": {"api-key": CANARY}})])
    store.record_cell(run_id, MEASURED, f"/{CANARY}/users-10")
    store.add_snapshot(run_id, {"versions": {"ray": "2.60.0"}, "hosts": {"head": {"ray_token": CANARY}}})
    store.finish_run(run_id, State.SUCCESS, "same", "within 5 %")
