"""kill -9 of each part of Airflow in each phase of a deploy, for real: Airflow, Ray, vLLM and a tiny model.

The part's own agent starts it again. Then the run goes on or fails cleanly, and nothing is served twice.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psutil
import pytest
from testbed.project import TINY, Project, open_demo

from slipway.store import Run, State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PARTS = ("scheduler", "triggerer", "api-server", "task")
PHASES = ("weights", "serve", "ready", "benchmark")
TASK = re.compile(r"airflow worker -- [0-9a-f-]{36}")

CHANGES = TINY | {
    "seconds: 20": "seconds: 5",
    "    - {users: 4, spawn_rate: 4}\n": "",
}


@pytest.fixture(scope="module")
def project(serving_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with open_demo(tmp_path_factory.mktemp("project"), serving_python, "kills", 25, CHANGES) as made:
        yield made


@pytest.fixture(scope="module")
def changes() -> Iterator[int]:
    """A new value of an argument for each deploy, so that each starts the server."""
    return iter(itertools.count(4))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("phase", PHASES)
def test_the_run_goes_on_or_fails_cleanly(project: Project, changes: Iterator[int], part: str, phase: str) -> None:
    before = len(project.store().runs("kills", 100)) if (project.home / "slipway.db").exists() else 0
    conf = f'{{"serve_args": {{"max-num-seqs": {next(changes)}}}}}'
    with ThreadPoolExecutor(1) as pool:
        up = pool.submit(project.slipway, "up", str(project.file), "--conf", conf)
        wait_for_phase(project, before, phase, up)
        kill(project, part)
        done = up.result()
    run = project.last_run()
    print(f"kill of {part} in {phase}: {run.state} after {seconds(run):.0f} s, {tries(project, run)}")
    assert run.state in (State.SUCCESS, State.FAILED), done.stdout[-3000:] + done.stderr
    assert done.returncode == (0 if run.state == State.SUCCESS else 1), done.stdout[-3000:] + done.stderr
    assert all(stage.state != State.RUNNING for stage in project.store().stages(run.id))
    assert project.store().leases() == []
    assert_one_server(project)


def wait_for_phase(project: Project, before: int, phase: str, up: Future[object]) -> None:
    """Until the new run's stage is under way. Weights that are there already take it half a second."""
    while True:
        assert not up.done(), up.result()
        with contextlib.suppress(Exception):  # there is no store yet
            if len(project.store().runs("kills", 100)) > before:
                stages = project.store().stages(project.last_run().id)
                if any(stage.name == phase and stage.state == State.RUNNING for stage in stages):
                    return
        time.sleep(0.05)


def kill(project: Project, part: str) -> None:
    """The part's process alone; of a task the process that runs it."""
    if part != "task":
        session = project.airflow_parts()[f"airflow.{part}"].session
        assert session
        os.kill(session, signal.SIGKILL)
        return
    killed, deadline = 0, time.monotonic() + 300
    while not killed:  # while `ready` is deferred it has none: then it is the one that goes on after it
        assert time.monotonic() < deadline
        for pid in project.processes(project.airflow_parts()["airflow.scheduler"].session):
            with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                if TASK.match(" ".join(psutil.Process(pid).cmdline())):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        time.sleep(0.2)


def assert_one_server(project: Project) -> None:
    """One server at most, whose processes are all in the session that its agent knows."""
    known = {state.session for state in project.served().values()}
    own = [process for process in psutil.process_iter() if str(project.folder) in _environment(process)]
    engines = [
        process for process in own if "VLLM" in process.name() or "vllm.entrypoints" in " ".join(_words(process))
    ]
    sessions = {_session(process) for process in engines}
    assert len(sessions) <= 1
    assert sessions <= known


def seconds(run: Run) -> float:
    assert run.ended_at
    return (run.ended_at - run.started_at).total_seconds()


def tries(project: Project, run: Run) -> str:
    stages = project.store().stages(run.id)
    again = [f"{stage.name} {stage.try_number} {stage.state}" for stage in stages if stage.try_number > 1]
    return ", ".join(again) or "no stage was tried again"


def _environment(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return process.environ().get("SLIPWAY_ROLE", "")
    return ""


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _session(process: psutil.Process) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return None
