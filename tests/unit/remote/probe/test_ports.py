"""Whose port is it?"""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys

import pytest

from slipway.remote.probe.ports import Entry, describe, in_the_way, parse_sockets
from slipway.remote.probe.verbs import VERBS
from slipway.remote.refusal import Refused
from slipway.remote.request import Request

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 51234 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:1F90 06 00000000:00000000 03:00000A2B 00000000     0        0 0 3 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 700 1 0 100
   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 701 1 0 100
   2: 0000000000000000FFFF00000100007F:1F91 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 702 1 0 100
"""
LISTENER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
time.sleep(300)
"""


def ports(*pairs: tuple[str, int]) -> list[dict]:
    return VERBS["ports"](Request({"ports": [{"host": host, "port": port} for host, port in pairs]}))["ports"]


def test_a_free_port_is_free(free_port):
    [seen] = ports(("127.0.0.1", free_port))
    assert seen == {"host": "127.0.0.1", "port": free_port, "free": True, "reason": None, "owner": None}


def test_the_owner_of_a_port_is_named():
    argv = [sys.executable, "-c", LISTENER, "a b"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        port = int(process.stdout.readline())
        found = ports(("127.0.0.1", port), ("0.0.0.0", port), ("::", port), ("127.0.0.2", port), ("localhost", port))
        process.kill()
    assert [seen["free"] for seen in found] == [False, False, False, True, False]
    owner = found[0]["owner"]
    assert (owner["pid"], owner["session"], owner["user"]) == (process.pid, process.pid, getpass.getuser())
    assert owner["command"] == " ".join(argv)
    assert found[1]["owner"] == found[4]["owner"] == owner
    assert found[0]["reason"] == "Address already in use"


def test_a_port_that_only_lingers_is_free():
    """A connection that this end has closed first leaves its port in TIME_WAIT."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    with socket.socket() as trial, pytest.raises(OSError, match="in use"):
        trial.bind(("127.0.0.1", port))
    assert ports(("127.0.0.1", port))[0]["free"]


def test_an_address_of_another_host_has_its_reason(free_port):
    [other, unknown] = ports(("192.0.2.1", free_port), ("nobody.invalid", free_port))
    assert (other["free"], other["owner"]) == (False, None)
    assert "assign" in other["reason"]
    assert (unknown["free"], unknown["owner"]) == (False, None)
    assert unknown["reason"]


@pytest.mark.parametrize("port", [0, 65536, "80", True, None])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(Refused, match=r"^ports\[0\].port: "):
        VERBS["ports"](Request({"ports": [{"host": "127.0.0.1", "port": port}]}))


def test_the_kernels_tables_are_read(monkeypatch):
    monkeypatch.setattr(sys, "byteorder", "little")
    assert list(parse_sockets(TCP)) == [
        Entry("127.0.0.1", 8080, "0A", "51234"),
        Entry("127.0.0.1", 50000, "06", "0"),
    ]
    assert [entry.address for entry in parse_sockets(TCP6)] == ["::", "::1", "127.0.0.1"]


@pytest.mark.parametrize(
    ("sockets", "host", "inodes"),
    [
        ([("127.0.0.1", "0A", "1"), ("127.0.0.1", "01", "2")], "127.0.0.1", {"1"}),
        ([("127.0.0.1", "01", "2"), ("127.0.0.1", "06", "0")], "127.0.0.1", {"2"}),
        ([("127.0.0.1", "0A", "1")], "10.0.0.1", set()),
        ([("127.0.0.1", "0A", "1"), ("10.0.0.1", "0A", "2")], "0.0.0.0", {"1", "2"}),
        ([("::", "0A", "1")], "10.0.0.1", {"1"}),
        ([("10.0.0.1", "0A", "1")], "head", {"1"}),
    ],
)
def test_who_listens_is_in_the_way_before_who_is_connected(sockets, host, inodes):
    entries = [Entry(address, 8000, state, inode) for address, state, inode in sockets]
    assert in_the_way([*entries, Entry(host, 8001, "0A", "9")], host, 8000) == inodes


def test_a_process_is_described_or_gone():
    me = describe(os.getpid())
    assert (me["pid"], me["session"]) == (os.getpid(), os.getsid(0))
    assert "pytest" in me["command"]
    assert describe(1 << 22) is None
