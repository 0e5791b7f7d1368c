"""An engine that hangs, for real: Airflow, Ray, vLLM and a tiny model."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest
from testbed.project import TINY, Project, open_demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHANGES = TINY | {
    "port: 24000": "port: 24000\n  restart: false",
    "    - {users: 4, spawn_rate: 4}\n": "",
    "seconds: 20": "seconds: 5",
}
WATCH = "\nwatch: {restart: true}\n"


@pytest.fixture(scope="module")
def project(serving_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with open_demo(tmp_path_factory.mktemp("project"), serving_python, "redeploys", 24, CHANGES, WATCH) as made:
        yield made


def test_a_deploy_serves(project: Project) -> None:
    done = project.slipway("up", str(project.file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_engine_that_hangs_is_found_and_started_again(project: Project) -> None:
    before = project.served()["redeploys.vllm"]
    [engine] = [
        pid for pid in project.processes(before.session) if psutil.Process(pid).name().startswith("VLLM::Engine")
    ]
    os.kill(engine, signal.SIGSTOP)
    with project.probing() as asked:
        done = project.slipway("up", str(project.file), "--job", "watch")
    run = project.last_run()
    assert done.returncode == 1
    assert "it was started again and serves" in done.stdout
    assert (run.job, run.state) == ("watch", "failed")
    assert {stage.name: stage.state for stage in project.store().stages(run.id)} == {
        "liveness": "failed",
        "restart": "success",
    }
    assert project.served()["redeploys.vllm"].session != before.session
    assert project.processes(before.session) == []
    assert asked.sent[-1][2]


def test_a_look_at_an_engine_that_answers_leaves_no_run(project: Project) -> None:
    runs = len(project.store().runs("redeploys", 100))
    done = project.slipway("up", str(project.file), "--job", "watch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(project.store().runs("redeploys", 100)) == runs
