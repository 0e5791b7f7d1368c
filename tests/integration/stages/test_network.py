"""The network proof with real ranks: torch and gloo in the serving environment, two hosts' parts on loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slipway.commands import agent, collective, kit, vllm
from slipway.commands.agent import Role
from slipway.errors import HostUnfit, HostUnreachable, NotConverged
from slipway.hosts import LocalHost
from slipway.shell import Command, Result
from slipway.spec import parse_deployment
from slipway.stages import network
from slipway.stages.site import Site

DEPLOYMENT = """
version: 1
name: proof
rehearsal: true
root: root
hosts:
  - {{name: a, address: 127.0.0.2, gpus: {a_gpus}}}
  - {{name: b, address: 127.0.0.3, env: {{GLOO_SOCKET_IFNAME: {b_interface}}}}}
env: {{GLOO_SOCKET_IFNAME: lo}}
environment: {{existing: {interpreter}}}
weights: {{source: model, name: tiny}}
ray: {{ports: {{gcs: 24379, dashboard: 24265, block: 24400, workers: 24500}}}}
serve: {{model_name: tiny}}
benchmark: {{levels: [{{users: 1}}]}}
"""

PROGRAM = "A collective across all ranks"
"""Stands in the command line of every process of the proof."""


class Elsewhere(LocalHost):
    """A host whose way to the head ends in silence, as behind a firewall: its ranks knock at another port."""

    port = 0

    def run(self, command: Command) -> Result:
        if PROGRAM in command.line():
            request = json.loads(command.stdin)
            request["store"][1] = self.port
            command = dataclasses.replace(command, stdin=json.dumps(request).encode())
        return super().run(command)


class Lost(LocalHost):
    """A host that the connection to is lost."""

    def run(self, command: Command) -> Result:
        if PROGRAM in command.line():
            raise HostUnreachable(self.name, "connection lost", hint="check the host and its network")
        return super().run(command)


@pytest.fixture
def opened(serving_python: str, tmp_path: Path) -> Callable[..., Site]:
    def open_hosts(b: LocalHost | None = None, a_gpus: int = 1, b_interface: str = "lo") -> Site:
        text = DEPLOYMENT.format(interpreter=serving_python, a_gpus=a_gpus, b_interface=b_interface)
        spec = parse_deployment(text, origin="proof.yaml", base=tmp_path)
        site = Site(spec, {"a": LocalHost("a"), "b": b or LocalHost("b")})
        site.prepare()
        return site

    return open_hosts


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert ranks_of(tmp_path) == []


def ranks_of(folder: Path) -> list[str]:
    """Processes of the proof that have the deployment in this folder among their variables."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if PROGRAM in (process / "cmdline").read_text() and str(folder) in (process / "environ").read_text():
                found.append(process.name)
    return found


def test_the_figure_of_three_ranks_on_two_hosts(opened, tmp_path):
    with ThreadPoolExecutor() as pool:
        proof = pool.submit(network.converge, opened(a_gpus=2))
        seen = 0
        while not proof.done():
            seen = max(seen, len(ranks_of(tmp_path)))
            time.sleep(0.2)
    outcome = proof.result()
    found = outcome.detail
    assert seen == 5  # three ranks, and a launcher on each host
    assert outcome.actions == 0
    assert (found["backend"], found["ranks"], found["over"]) == ("gloo", 3, "sockets")
    assert (found["small_bytes"], found["large_bytes"]) == (8, 4 << 20)
    assert 0 < found["small_s"] < found["large_s"] < 2
    assert found["algbw"] == pytest.approx((4 << 20) / found["large_s"])
    assert found["busbw"] == pytest.approx(found["algbw"] * 4 / 3)


def test_a_rank_that_never_arrives_is_named_within_the_bound(opened):
    began = time.monotonic()
    with socket.create_server(("127.0.0.2", 0)) as silent:
        host = Elsewhere("b")
        host.port = silent.getsockname()[1]
        with pytest.raises(NotConverged) as caught:
            network.prove(opened(host), seconds=8)
    assert time.monotonic() - began < 8 + collective.ANSWERING_S
    told = str(caught.value)
    assert "1 of 2 ranks did not arrive at 127.0.0.2:24409 within 8 s: [b] 127.0.0.3: rank 1\n" in told
    assert "\n[b] rank 1: " in told
    assert "rank 0" not in told
    assert "firewall" in caught.value.hint


def test_a_host_that_is_lost_is_named_with_its_ranks(opened):
    with pytest.raises(NotConverged) as caught:
        network.prove(opened(Lost("b")), seconds=6)
    assert "1 of 2 ranks did not arrive" in str(caught.value)
    assert "[b] 127.0.0.3: rank 1\n[b] connection lost" in str(caught.value)


def test_an_interface_that_one_host_has_not_is_that_hosts_failure_and_needs_no_waiting(opened):
    began = time.monotonic()
    with pytest.raises(HostUnfit, match=r"^\[b\] rank 1 failed in phase join: .*nosuch0") as caught:
        network.prove(opened(b_interface="nosuch0"))
    assert time.monotonic() - began < 30
    assert "GLOO_SOCKET_IFNAME" in caught.value.hint


def test_a_taken_port_is_named(opened):
    with (
        socket.create_server(("127.0.0.2", 24409)),
        pytest.raises(HostUnfit, match=r"^\[a\] rank 0 .*Address already in use .*127\.0\.0\.2.*24409"),
    ):
        network.prove(opened(), seconds=6)


def test_a_server_that_runs_is_left_in_peace(opened):
    site = opened()
    server = Role(vllm.role_name(site.spec), (Command(("sleep", "60")),), server=True)
    kit.reply(site.head.run(agent.start(site.root, server)))
    try:
        assert network.converge(site).detail == {"kept": "the server runs on a and is left in peace"}
    finally:
        kit.reply(site.head.run(agent.stop(site.root, server.name)))
