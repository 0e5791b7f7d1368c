"""Segments in /dev/shm: real ones, of real processes under real agents; what is not proved to be ours stays."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.remote.agent.role import Role
from slipway.remote.agent.shared_memory import PLACE, SharedMemory, held, segments
from slipway.remote.processes import boot_id, look

ENGINE = """
import sys, time
from multiprocessing import resource_tracker, shared_memory
segment = shared_memory.SharedMemory(create=True, size=4096)
resource_tracker.unregister(segment._name, "shared_memory")
open(sys.argv[1], "w").write(segment.name)
time.sleep(300)
"""
"""Makes a segment, as vLLM's message queue does, and would leave it; says its name in a file."""

OPENER = "import sys, time; file = open(sys.argv[1]); open(sys.argv[2], 'w').write('here'); time.sleep(300)"
MAPPER = """
import mmap, sys, time
with open(sys.argv[1], "r+b") as file:
    memory = mmap.mmap(file.fileno(), 0)
open(sys.argv[2], "w").write("here")
time.sleep(300)
"""


@pytest.fixture
def engine(agents, tmp_path, eventually):
    """Starts a role that has a segment; answers its status and the segment's path."""
    made = []

    def start() -> tuple[dict, Path]:
        said = tmp_path / "segment"
        status = agents.start([sys.executable, "-c", ENGINE, str(said)], role="demo.vllm", server=True)
        eventually(lambda: said.exists() and said.read_text())
        made.append(PLACE / said.read_text())
        return status, made[-1]

    yield start
    for path in made:
        path.unlink(missing_ok=True)


@pytest.fixture
def file(tmp_path):
    """A file in /dev/shm of somebody else's."""
    path = PLACE / f"slipway-test-{os.getpid()}-{tmp_path.name}"
    path.write_bytes(bytes(4096))
    path.chmod(0o600)
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def running(tmp_path, eventually):
    """Runs a script on a file until the test has ended; answers its process."""
    processes = []

    def run(script: str, path: Path) -> subprocess.Popen:
        here = tmp_path / f"here{len(processes)}"
        processes.append(subprocess.Popen([sys.executable, "-c", script, str(path), str(here)]))
        eventually(here.exists)
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def role(tmp_path):
    role = Role(tmp_path, "demo.vllm")
    role.make()
    return role


def recorded(agents) -> list[str]:
    return [entry[0] for entry in json.loads((agents.folder / "demo.vllm/shared_memory.json").read_text())["ours"]]


def test_a_stop_leaves_no_segment(agents, engine):
    _, path = engine()
    assert path.exists()
    assert agents.ask("stop", "demo.vllm")["stopped"]
    assert not path.exists()
    assert recorded(agents) == []


def test_an_engine_that_is_killed_leaves_none_either(agents, engine, eventually):
    status, path = engine()
    eventually(lambda: recorded(agents) == [path.name])
    os.kill(status["session"], signal.SIGKILL)
    assert agents.ended("demo.vllm")["state"] == "failed"
    assert not path.exists()


def test_after_an_agents_death_the_stop_removes_it(agents, engine):
    status, path = engine()
    os.kill(status["agent_pid"], signal.SIGKILL)
    assert agents.ask("stop", "demo.vllm")["stopped"]
    assert not path.exists()


def test_what_both_died_with_is_removed_by_the_next_start(agents, engine, eventually, alive):
    status, path = engine()
    eventually(lambda: recorded(agents) == [path.name])
    for pid in (status["agent_pid"], status["session"]):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(status["session"]))
    assert path.exists()
    agents.start(["true"], role="demo.vllm")
    assert not path.exists()


@pytest.mark.parametrize("script", [MAPPER, OPENER], ids=["mapped", "open"])
def test_what_a_living_process_has_stays_until_it_has_gone(agents, engine, running, script):
    _, path = engine()
    other = running(script, path)
    assert agents.ask("stop", "demo.vllm")["stopped"]
    assert path.exists()
    assert recorded(agents) == [path.name]
    other.kill()
    other.wait()
    agents.ask("forget", "demo.vllm")
    assert not path.exists()


def test_what_was_there_before_the_role_stays(agents, file, tmp_path, eventually):
    agents.start([sys.executable, "-c", MAPPER, str(file), str(tmp_path / "here")], role="demo.vllm", server=True)
    eventually((tmp_path / "here").exists)
    assert agents.ask("stop", "demo.vllm")["stopped"]
    assert file.exists()


def test_what_no_process_of_the_role_has_stays(agents, engine, file):
    engine()
    file.unlink()
    file.touch(mode=0o600)
    assert agents.ask("stop", "demo.vllm")["stopped"]
    assert file.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_what_others_may_open_stays(role, file, running, mode):
    memory = SharedMemory(role, before=())
    process = running(MAPPER, file)
    file.chmod(mode)
    memory.look([look(process.pid)])
    process.kill()
    process.wait()
    memory.remove()
    assert file.exists()


def test_links_and_folders_are_no_segments(file):
    link, folder = file.with_name(f"{file.name}-link"), file.with_name(f"{file.name}-folder")
    link.symlink_to(file)
    folder.mkdir(mode=0o700)
    try:
        names = {segment.name for segment in segments()}
        assert file.name in names
        assert not {link.name, folder.name} & names
    finally:
        link.unlink()
        folder.rmdir()


def test_another_file_with_the_name_stays(role, file, running):
    memory = SharedMemory(role, before=())
    process = running(MAPPER, file)
    memory.look([look(process.pid)])
    process.kill()
    process.wait()
    again = file.with_name(f"{file.name}-again")
    again.touch(mode=0o600)
    again.replace(file)
    memory.remove()
    assert file.exists()


@pytest.mark.parametrize(("boot", "stays"), [(boot_id(), False), ("another", True)])
def test_only_what_was_recorded_since_the_boot_is_ours(role, file, boot, stays):
    mine = [segment for segment in segments() if segment.name == file.name]
    role.record_shared_memory({"boot_id": boot, "before": [], "ours": mine})
    SharedMemory.recorded(role).remove()
    assert file.exists() == stays


def test_the_next_look_waits_its_turn(role, file, running, monkeypatch):
    memory = SharedMemory(role, before=())
    process = look(running(MAPPER, file).pid)
    memory.watch([process])
    assert role.shared_memory() is None
    monkeypatch.setattr("slipway.remote.agent.shared_memory.LOOK_EVERY_S", 0.0)
    memory.watch([process])
    assert file.name in [name for name, *_ in role.shared_memory()["ours"]]


def test_the_shared_memory_of_this_process_is_held(file):
    mine = {segment for segment in segments() if segment.name == file.name}
    assert held([look(os.getpid())], mine) == set()
    with file.open("r+b") as handle:
        assert held([look(os.getpid())], mine) == mine
        memory = mmap.mmap(handle.fileno(), 0)
    assert held([look(os.getpid())], mine) == mine
    memory.close()
    assert held([look(os.getpid())], mine) == set()
