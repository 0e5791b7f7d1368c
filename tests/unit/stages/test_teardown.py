"""Teardown on this machine with real agents, beside a host that cannot be reached; and what GPUs must give back."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack

import pytest
from testbed.lost import lost_host

from slipway.commands import agent, kit, vllm
from slipway.commands.agent import Role
from slipway.errors import HostUnfit, HostUnreachable, NotConverged
from slipway.facts.machine import gpu_memory
from slipway.facts.role import roles
from slipway.hosts import LocalHost, SSHHost
from slipway.shell import Command, Result
from slipway.stages import teardown
from slipway.stages.site import Site, prepare

GIB = 1 << 30


def unreachable(name: str, error: type[Exception] = HostUnreachable) -> SSHHost:
    return lost_host(name, error(name, f"{name} is not there"))


@pytest.fixture
def here(spec, tmp_path):
    """The deployment of two hosts, with a root and a port of the test's own, in which both are this machine."""
    with ExitStack() as stack:
        taken = stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    serve = spec.serve.model_copy(update={"port": port, "backend": "mp"})
    made = spec.model_copy(update={"root": str(tmp_path), "serve": serve, "rehearsal": True})
    prepare(LocalHost("here"), made.root)
    yield made
    teardown.stop_all(LocalHost("here"), made.root, print)


def start(spec, number: int) -> None:
    """The part of the server that belongs to one of the hosts."""
    role = Role(name=vllm.role_name(spec, spec.hosts[number]), steps=(Command(("sleep", "300")),), server=True)
    kit.reply(LocalHost("here").run(agent.start(spec.root, role)))


def test_one_host_out_of_reach_keeps_no_other_back(here):
    start(here, 0)
    lines: list[str] = []
    with_all = Site(here, {"a": LocalHost("a"), "b": unreachable("b")}, say=lines.append)
    site = with_all.within_reach()
    assert (list(site.hosts), list(site.out_of_reach)) == (["a"], ["b"])
    outcome = teardown.converge(site)
    assert outcome.actions == 2  # stop and forget
    assert roles(site.hosts["a"], here.root) == []
    assert any("goes on without [b] b is not there" in line for line in lines)
    with pytest.raises(NotConverged, match=r"stopped on a, but not on b:\n\[b\] b is not there") as caught:
        teardown.require_reached(outcome)
    assert caught.value.transient
    assert json.loads(json.dumps(outcome.detail)) == outcome.detail


def test_the_head_may_be_the_one_that_is_out_of_reach(here):
    start(here, 1)
    site = Site(here, {"a": unreachable("a", HostUnfit), "b": LocalHost("b")}).within_reach()
    outcome = teardown.converge(site)
    assert roles(site.hosts["b"], here.root) == []
    with pytest.raises(NotConverged, match="stopped on b, but not on a"):
        teardown.require_reached(outcome)


def test_with_every_host_out_of_reach_nothing_is_said_to_be_stopped(here):
    site = Site(here, {name: unreachable(name) for name in ("a", "b")}).within_reach()
    with pytest.raises(NotConverged, match="stopped on no host, but not on a, b"):
        teardown.require_reached(teardown.converge(site))


def test_a_fault_of_our_own_is_no_host_out_of_reach(here):
    with pytest.raises(RuntimeError):
        Site(here, {"a": LocalHost("a"), "b": unreachable("b", lambda *_: RuntimeError("a fault"))}).within_reach()


def test_with_all_hosts_reached_nothing_is_missed(here):
    site = Site(here, {"a": LocalHost("a"), "b": LocalHost("b")}).within_reach()
    assert site.out_of_reach == {}
    teardown.require_reached(teardown.converge(site))


class Gpus:
    """A host that answers the machine probe, one answer after the other, the last one for ever; and nothing else."""

    name = "a"

    def __init__(self, *answers: dict) -> None:
        self.answers = list(answers)

    def run(self, command: Command) -> Result:
        assert command.argv[-2:] == ("probe", "machine"), command.argv
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Result(self.name, command, 0, json.dumps(answer), "", 0.0)


def gpus(*used: int | None, processes: tuple[dict, ...] = (), error: str | None = None) -> dict:
    cards = [{"index": index, "uuid": f"GPU-{index}", "memory_used_bytes": size} for index, size in enumerate(used)]
    return {"gpus": cards, "gpu_processes": list(processes), "gpu_error": error}


def process(index: int, memory_bytes: int | None, command: str | None = "python3 other.py") -> dict:
    return {"gpu_uuid": f"GPU-{index}", "pid": 409, "memory_bytes": memory_bytes, "command": command}


@pytest.mark.parametrize(
    ("seen", "unclaimed"),
    [
        (gpus(0, 70 * GIB), {0: 0, 1: 70 * GIB}),
        (gpus(GIB, 70 * GIB, processes=(process(1, 40 * GIB), process(1, 29 * GIB))), {0: GIB, 1: GIB}),
        (gpus(70 * GIB, processes=(process(0, 70 * GIB, command=None),)), {0: 70 * GIB}),
        (gpus(70 * GIB, 0, processes=(process(0, None),)), {0: None, 1: 0}),
        (gpus(None), {0: None}),
        (gpus(), {}),
    ],
)
def test_what_no_living_process_accounts_for(seen, unclaimed):
    assert gpu_memory(Gpus(seen), "/srv/slipway") == unclaimed


def test_a_driver_that_does_not_answer_proves_nothing():
    with pytest.raises(HostUnfit, match=r"\[a\] its GPU driver does not answer: lost"):
        gpu_memory(Gpus(gpus(error="lost")), "/srv/slipway")


def left(spec, monkeypatch, *answers: dict, wait_s: float = 5.0) -> list[str]:
    monkeypatch.setattr(teardown, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(teardown, "GPU_WAIT_S", wait_s)
    return teardown._gpu_memory_left(Site(spec, {"a": Gpus(*answers)}))


def test_memory_that_comes_back_in_time_is_waited_for(spec, monkeypatch, capsys):
    assert left(spec, monkeypatch, gpus(0, 70 * GIB), gpus(0, 2 * GIB), gpus(0, GIB)) == []
    assert "[a] GPU memory in use, beside what living processes hold: 0: 0.0 GiB, 1: 1.0 GiB" in capsys.readouterr().out


def test_memory_that_does_not_come_back_is_named(spec, monkeypatch):
    assert left(spec, monkeypatch, gpus(0, 70 * GIB), wait_s=0.05) == [
        "a: GPU 1 holds 70.0 GiB that no process there accounts for"
    ]


def test_memory_of_which_nothing_is_known_is_not_waited_for(spec, monkeypatch, capsys):
    assert left(spec, monkeypatch, gpus(None)) == []
    assert "0: unknown" in capsys.readouterr().out


def test_neither_a_rehearsal_nor_a_host_without_gpus_is_asked(spec, monkeypatch):
    bare = spec.hosts[0].model_copy(update={"gpus": 0})
    for changed in ({"rehearsal": True}, {"hosts": (bare, spec.hosts[1])}):
        assert left(spec.model_copy(update=changed), monkeypatch, gpus(70 * GIB)) == []
