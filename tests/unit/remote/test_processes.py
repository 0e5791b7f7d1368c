"""Processes are known by id and start time, and signals reach no other."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from slipway.remote import processes
from slipway.remote.processes import Process, descendants, look, parse_stat, same, send, table


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


def test_a_name_may_hold_anything():
    rest = " ".join(str(number) for number in range(6, 53))
    line = f"42 (a) b ((c) S 7 8 9 {rest}\n".encode()
    assert parse_stat(line) == Process(pid=42, parent=7, session=9, state="S", began=21)


def test_a_thread_of_the_kernel_is_known_by_its_flag_and_not_by_its_session():
    """In a container, whatever was started from outside has session 0 as well."""
    rest = " ".join("0" for _ in range(40))
    assert parse_stat(f"2 (kthreadd) S 0 0 0 0 -1 {0x208040} {rest}".encode()).kernel
    assert not parse_stat(f"7 (python) S 0 0 0 0 -1 {0x400000} {rest}".encode()).kernel
    assert not any(process.kernel for process in table().values())


def test_this_process_is_seen_with_its_parent_and_session():
    me = table()[os.getpid()]
    assert (me.parent, me.session, me.alive) == (os.getppid(), os.getsid(0), True)
    assert look(1 << 22) is None


def test_descendants_are_children_and_theirs():
    family = {pid: Process(pid, parent, 1, "S", 0) for pid, parent in [(2, 1), (3, 2), (4, 3), (5, 1), (6, 9)]}
    assert sorted(process.pid for process in descendants(family, 2)) == [3, 4]
    assert descendants(family, 6) == []


@pytest.mark.parametrize("with_handles", [True, False])
def test_a_signal_reaches_only_the_process_that_was_seen(sleeper, monkeypatch, with_handles):
    if not with_handles:
        monkeypatch.delattr(processes.os, "pidfd_open", raising=False)
    seen = look(sleeper.pid)
    assert send(seen._replace(began=seen.began - 1), signal.SIGKILL) is False
    assert sleeper.poll() is None
    assert send(seen, signal.SIGTERM) is True
    assert sleeper.wait(5) == -signal.SIGTERM
    assert send(seen, signal.SIGKILL) is False


def test_a_zombie_has_ended(sleeper, eventually):
    seen = look(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    eventually(lambda: look(sleeper.pid).state == "Z")
    assert same(seen) is None
    assert not table()[sleeper.pid].alive
