"""What is ours after an agent died: proved by a witness in the session, or left alone."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from slipway.remote.agent import stopping
from slipway.remote.agent.role import Role, Seen
from slipway.remote.agent.standing import Remnants, status, sweep
from slipway.remote.agent.state import EMPTY
from slipway.remote.processes import boot_id, look, same, send
from slipway.remote.refusal import Refused

LEADERLESS = """
import os, sys, time
os.setsid()
for _ in range(2):
    pid = os.fork()
    if not pid:
        os.close(1)
        time.sleep(300)
    print(pid, flush=True)
"""


@pytest.fixture
def role(tmp_path):
    role = Role(tmp_path, "demo.vllm")
    role.make()
    return role


@pytest.fixture
def stranger():
    """A process with a session of its own."""
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as process:
        yield look(process.pid)
        process.kill()


@pytest.fixture
def marked():
    """A process with a session of its own that bears the mark of a start."""
    env = {**os.environ, "SLIPWAY_ROLE": "/agents/demo.vllm#1"}
    with subprocess.Popen(["sleep", "300"], start_new_session=True, env=env) as process:
        yield look(process.pid)
        process.kill()


@pytest.fixture
def leaderless():
    """Two processes in a session whose first process has ended."""
    done = subprocess.run([sys.executable, "-c", LEADERLESS], stdout=subprocess.PIPE, text=True, check=True)
    pids = [int(word) for word in done.stdout.split()]
    seen = [look(pid) for pid in pids]
    yield seen
    for process in seen:
        send(process, signal.SIGKILL)


def left_by_an_agent(role: Role, *recorded: Seen, **changes: object) -> None:
    """The folder as an agent leaves it that was killed."""
    gone = {"agent_pid": 1 << 22, "agent_began": 1, "boot_id": boot_id(), "term_s": 0.1, "group_s": 0.1}
    role.save({**EMPTY, **gone, "state": "running", "session": recorded[0].session, "step": 0, **changes})
    role.record(recorded)


def test_a_recorded_process_proves_its_whole_session(role, leaderless):
    witness, other = leaderless
    left_by_an_agent(role, Seen.of(witness))
    assert status(role)["orphans"] == sorted([witness.pid, other.pid])
    assert sweep(role) == []
    assert role.recorded() == []
    assert status(role)["orphans"] == []


def test_the_mark_of_a_start_proves_what_was_not_recorded(role, stranger, marked):
    left_by_an_agent(role, Seen(1 << 22, 1, 1 << 22), mark="/agents/demo.vllm#1")
    assert status(role)["orphans"] == [marked.pid]
    assert sweep(role) == []
    assert same(marked) is None
    assert same(stranger) is not None


def test_the_mark_of_another_start_is_not_ours_even_where_it_was_recorded(role, marked):
    left_by_an_agent(role, Seen.of(marked), mark="/agents/demo.vllm#2")
    assert status(role)["orphans"] == []
    assert sweep(role) == []
    assert same(marked) is not None


def test_an_id_that_another_process_has_now_is_not_ours(role, stranger):
    left_by_an_agent(role, Seen(stranger.pid, stranger.began - 1, stranger.session))
    assert status(role)["orphans"] == []
    assert sweep(role) == []
    time.sleep(0.1)
    assert same(stranger) is not None


def test_nothing_of_another_boot_is_ours(role, stranger):
    left_by_an_agent(role, Seen.of(stranger), boot_id="another")
    dead = status(role)
    assert (dead["state"], dead["orphans"]) == ("failed", [])
    assert dead["exit"]["reason"] == "agent gone: the host was started again"
    assert sweep(role) == []
    assert same(stranger) is not None


def test_a_session_without_a_witness_is_told_and_left_alone(role, leaderless, agents):
    session = leaderless[0].session
    left_by_an_agent(role, Seen(session, 1, session), Seen(leaderless[0].pid, leaderless[0].began - 1, session))
    assert Remnants(role, role.state()).living() == []
    pids = [process.pid for process in leaderless]
    answer = agents.call("stop", {"folder": str(role.path.parent), "role": role.name})
    assert (answer["stopped"], answer["left"]) == (False, sorted(pids))
    request = {**agents.request(["true"]), "folder": str(role.path.parent), "role": role.name}
    refused = agents.refusal("start", request)
    assert str(pids[0]) in str(refused)
    assert "by hand" in refused.hint
    assert [look(pid).alive for pid in pids] == [True, True]


def test_an_agent_that_hangs_is_killed_and_its_work_done(agents, monkeypatch, alive):
    monkeypatch.setattr(stopping, "KILL_S", 0.3)
    started = agents.start(["sleep", "300"], role="demo.vllm", server=True)
    os.kill(started["agent_pid"], signal.SIGSTOP)
    answer = agents.ask("stop", "demo.vllm")
    assert (answer["stopped"], answer["acted"]) == (True, True)
    assert not alive(started["agent_pid"])
    assert not alive(started["session"])
    assert agents.status("demo.vllm")["state"] == "stopped"


def test_a_lock_that_another_call_has_is_waited_for_but_not_for_ever(role, agents, monkeypatch):
    monkeypatch.setattr(stopping, "KILL_S", 0.1)
    lock = role.claim()
    assert role.claim() is None
    assert role.held()
    refused = agents.refusal("stop", {"folder": str(role.path.parent), "role": role.name})
    assert "in its hands" in str(refused)
    os.close(lock)
    assert not role.held()


def test_looking_at_a_lock_does_not_take_it(role):
    os.close(role.claim())
    with (role.path / "lock").open() as another_look:
        fcntl.flock(another_look, fcntl.LOCK_SH)
        assert not role.held()


def test_a_lock_file_that_was_replaced_is_nobodys(role):
    lock = role.claim()
    (role.path / "lock").unlink()
    assert not role.owns(lock)
    fresh = role.claim()
    assert fresh is not None
    assert role.owns(fresh)
    os.close(lock)
    os.close(fresh)


def test_a_lock_file_that_is_removed_while_it_is_taken_is_not_taken(role, monkeypatch):
    open_file = os.open

    def open_and_lose(path, *more):
        descriptor = open_file(path, *more)
        path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_and_lose)
    assert role.claim() is None


def test_a_damaged_state_is_named(role):
    (role.path / "state.json").write_text("{")
    with pytest.raises(Refused, match=r"state\.json is damaged"):
        status(role)
