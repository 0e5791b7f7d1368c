"""The cluster network as a host sees it: this machine's own, and answers captured from iproute2 6.1."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest

from slipway.remote.probe import network as probe
from slipway.remote.probe.verbs import VERBS
from slipway.remote.request import Request

ROUTE = '[{"dst":"10.77.0.1","gateway":"192.0.2.1","dev":"eth0","prefsrc":"192.0.2.2","flags":[],"uid":0,"cache":[]}]'
LOCAL = '[{"type":"local","dst":"127.0.0.2","dev":"lo","prefsrc":"127.0.0.1","flags":[],"uid":0,"cache":["local"]}]'


@pytest.fixture
def without_ip(monkeypatch):
    monkeypatch.setattr(probe, "PATH", "/nowhere")


@pytest.fixture
def port():
    """A port of 127.0.0.2 that is listened on."""
    with socket.create_server(("127.0.0.2", 0)) as server:
        yield server.getsockname()[1]


def look(address="127.0.0.2", peers=()):
    return VERBS["network"](Request({"address": address, "peers": list(peers)}))


def test_the_answers_of_ip():
    assert probe.parse_route(ROUTE) == {"local": False, "interface": "eth0", "source": "192.0.2.2"}
    assert probe.parse_route(LOCAL) == {"local": True, "interface": "lo", "source": "127.0.0.1"}
    links = [{"ifname": "eth0", "addr_info": [{"local": "10.0.0.1"}, {"local": "fe80::1"}]}, {"ifname": "ib0"}, {}]
    assert probe.parse_interfaces(json.dumps(links)) == {"eth0": ["10.0.0.1", "fe80::1"], "ib0": []}


def test_this_host(port):
    seen = look(peers=[{"name": "self", "address": "127.0.0.3", "port": port}])
    assert (seen["local"], seen["interface"]) == (True, "lo")
    assert set(seen["interfaces"]) == {name for _, name in socket.if_nameindex()}
    assert "127.0.0.1" in seen["interfaces"]["lo"]
    assert seen["namespace"] == str(Path("/proc/self/ns/net").readlink())
    [peer] = seen["peers"]
    assert (peer["name"], peer["address"], peer["local"], peer["fault"]) == ("self", "127.0.0.3", True, None)


def test_an_address_of_another_host():
    assert not look("192.0.2.77")["local"]


def test_a_host_without_ip_still_says_what_it_can(without_ip, port):
    seen = look()
    assert (seen["local"], seen["interface"]) == (True, None)
    assert seen["interfaces"] == {name: [] for _, name in socket.if_nameindex()}
    assert look("192.0.2.77")["local"] is False


def test_a_refused_connection_is_an_answer_and_silence_is_none(port, monkeypatch):
    assert probe.unreachable("127.0.0.2", port) is None
    assert probe.unreachable("127.0.0.2", 9) is None
    monkeypatch.setattr(probe, "REACH_S", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        backlog = [socket.socket() for _ in range(4)]
        for each in backlog:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        assert probe.unreachable(*full.getsockname()) == "no answer within 0.2 s"
        for each in backlog:
            each.close()


def test_a_name_that_nobody_knows_has_its_reason():
    found = probe.peer(Request({"name": "b", "address": "nobody.invalid", "port": 9}))
    assert not found["local"]
    assert found["fault"]


def test_what_ip_says_is_the_reason():
    error = subprocess.CalledProcessError(2, "ip", stderr="RTNETLINK answers: Network is unreachable\n")
    assert probe._said(error) == "RTNETLINK answers: Network is unreachable"


def test_rdma_devices_and_their_ports(tmp_path):
    for device, state in (("mlx5_0", "4: ACTIVE\n"), ("mlx5_1", "1: DOWN\n")):
        port = tmp_path / device / "ports" / "1"
        port.mkdir(parents=True)
        (port / "state").write_text(state)
    (tmp_path / "mlx5_2").mkdir()
    assert probe.infiniband(tmp_path) == {"mlx5_0": {"1": "ACTIVE"}, "mlx5_1": {"1": "DOWN"}, "mlx5_2": {}}
    assert probe.infiniband(tmp_path / "none") == {}
