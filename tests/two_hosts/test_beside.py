"""A new server beside the old one, for real: two hosts, vLLM on each in turn, vllm-router before them, and requests
sent through it all the while. One test builds on another.

Both servers are on this one machine. By itself vLLM binds its worker to the first free core as it sees them, so both to
the same one; and a worker that polls there by ``sched_yield`` may keep the other's from ever starting.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from testbed.prober import probing
from testbed.project import ROOT, Project, changed
from two_hosts.conftest import open_bed_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LOCK = ROOT / "include" / "environments" / "router.txt"
ROUTER = "http://10.77.0.1:8090"
ONE, TWO = "10.77.0.1", "10.77.0.2"
CHANGES = {
    "name: pair": "name: besides",
    "  - {name: two, connection: slipway_h2, address: 10.77.0.2}\n": "",
    "tensor_parallel: 2": "tensor_parallel: 1\n  backend: mp",
    '    VLLM_CPU_KVCACHE_SPACE: "1"': '    VLLM_CPU_KVCACHE_SPACE: "1"\n    VLLM_CPU_OMP_THREADS_BIND: nobind',
    "    - {users: 2, spawn_rate: 2}\n": "",
}
BESIDE = """
redeploy: {{swap: beside}}
beside:
  hosts: [{{name: two, connection: slipway_h2, address: 10.77.0.2}}]
  router: {{connection: slipway_h1, address: 10.77.0.1, python: {python}}}
"""


@pytest.fixture(scope="module")
def router_python() -> str:
    """The router's environment, made as its lock file says, where it is not there yet."""
    folder = ROOT / ".slipway" / f"router-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pinned = ["--no-deps", "--require-hashes", "-r", str(LOCK)]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *pinned], check=True)
        (folder / "whole").touch()
    return str(python)


@pytest.fixture(scope="module")
def project(bed, deployment: str, router_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    text = changed(deployment, CHANGES) + BESIDE.format(python=router_python)
    with open_bed_project(bed, tmp_path_factory.mktemp("besides"), "besides", 27280, text) as made:
        yield made


def deploy(project: Project, conf: str = "{}") -> tuple[int, str]:
    done = project.slipway("up", str(project.file), "--conf", conf)
    run = project.last_run()
    stages = {stage.name: (stage.actions, stage.state) for stage in project.store().stages(run.id)}
    said = {name: run.snapshot.get(name) for name in ("traffic", "restore")}
    print(f"run {run.id}: {run.state}, {run.verdict}; {said}; {stages}")
    return done.returncode, done.stdout + done.stderr


def serves(project: Project) -> str:
    """The address of the head that clients get, by the store."""
    current = project.store().current("besides")
    assert current
    assert current.endpoint == ROUTER
    return project.store().spec(current.revision_id).head.address


def running(bed) -> dict[str, list[str]]:
    """The servers and routers that run on each host."""
    words = {"vllm.entrypoints": "vllm", "vllm_router": "router", "vllm::router": "router"}
    return {
        name: sorted({what for line in bed.pids(name).values() for word, what in words.items() if word in line})
        for name in bed.told["hosts"]
    }


def test_the_first_deploy_starts_the_router_too(project, bed):
    code, said = deploy(project)
    assert code == 0, said
    assert serves(project) == ONE
    assert running(bed) == {"slipway-h1": ["router", "vllm"], "slipway-h2": []}


def test_a_change_is_started_beside_and_no_request_fails(project, bed):
    with probing(ROUTER, "tiny") as asked:
        code, said = deploy(project, '{"serve_args": {"max-num-seqs": 3}}')
    assert code == 0, said
    assert (serves(project), asked.failed) == (TWO, 0)
    assert running(bed) == {"slipway-h1": ["router"], "slipway-h2": ["vllm"]}
    run = project.last_run()
    assert run.snapshot["traffic"]["left"] == 0
    assert "downtime_s" not in run.snapshot


def test_one_that_does_not_come_up_leaves_the_old_one_alone(project, bed):
    with probing(ROUTER, "tiny") as asked:
        code, said = deploy(project, '{"serve_args": {"max-num-seqs": 3, "max-model-len": 100000000}}')
    assert code == 1, said
    assert "still serves, nothing had to be put back" in project.last_run().snapshot["restore"]["outcome"]
    assert (serves(project), asked.failed) == (TWO, 0)
    assert running(bed) == {"slipway-h1": ["router"], "slipway-h2": ["vllm"]}


def test_the_same_again_acts_on_nothing(project):
    code, said = deploy(project, '{"serve_args": {"max-num-seqs": 3}}')
    assert code == 0, said
    assert not any(project.acting().values())


def test_teardown_leaves_neither_side_nor_router(project, bed):
    done = project.slipway("up", str(project.file), "--job", "teardown")
    assert done.returncode == 0, done.stdout + done.stderr
    assert running(bed) == {"slipway-h1": [], "slipway-h2": []}
