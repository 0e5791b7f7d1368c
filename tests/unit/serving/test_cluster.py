"""Every answer is one JSON object, and comes in time; Ray itself is stood in for."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

RAYLET = """
import os, time

class GcsClientOptions:
    @staticmethod
    def create(address, password, *, allow_cluster_id_nil, fetch_cluster_id_if_nil):
        assert (password, allow_cluster_id_nil, fetch_cluster_id_if_nil) == (None, True, False)
        return address

class GlobalStateAccessor:
    def __init__(self, address):
        assert address == os.environ["RAY_ADDRESS"]
    def connect(self):
        time.sleep(float(os.environ.get("SLEEP_S", 0)))
        return os.environ.get("REFUSE") is None
    def get_node_table(self):
        alive = {"NodeName": "head", "NodeManagerAddress": "10.0.0.1", "Alive": True, "NodeID": "aa",
                 "Resources": {"GPU": 8.0, "CPU": 64.0, "memory": 1.0}}
        dead = {"NodeName": "worker", "NodeManagerAddress": "10.0.0.2", "Alive": False, "NodeID": "bb", "Resources": {}}
        return [alive, dead]
    def get_placement_group_table(self):
        return [b"group"]
"""
GCS_PB2 = """
class Bundle:
    node_id, unit_resources = b"\\xaa", {"GPU": 1.0}

class PlacementGroupTableData:
    placement_group_id, state, bundles = b"\\x01\\x02", 2, [Bundle]
    class PlacementGroupState:
        @staticmethod
        def Name(number):
            return {2: "CREATED"}[number]
    @classmethod
    def FromString(cls, data):
        assert data == b"group"
        return cls
"""


@pytest.fixture
def ray(site: Path) -> Path:
    generated = site / "ray" / "core" / "generated"
    generated.mkdir(parents=True)
    for package in (site / "ray", site / "ray" / "core", generated):
        (package / "__init__.py").touch()
    (site / "ray" / "_raylet.py").write_text(RAYLET)
    (generated / "gcs_pb2.py").write_text(GCS_PB2)
    return site


@pytest.fixture
def address() -> Iterator[str]:
    """Something listens there, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_nodes_and_placement_groups_are_told(run, ray: Path, address: str) -> None:
    done = run("cluster", env={"RAY_ADDRESS": address})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "nodes": [
            {"name": "head", "address": "10.0.0.1", "alive": True, "gpus": 8.0, "cpus": 64.0, "node_id": "aa"},
            {"name": "worker", "address": "10.0.0.2", "alive": False, "gpus": 0.0, "cpus": 0.0, "node_id": "bb"},
        ],
        "placement_groups": [
            {"id": "0102", "state": "CREATED", "bundles": [{"node_id": "aa", "resources": {"GPU": 1.0}}]}
        ],
    }


def test_a_refusal_is_an_error(run, ray: Path, address: str) -> None:
    done = run("cluster", env={"RAY_ADDRESS": address, "REFUSE": "1"})
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"].startswith(f"{address}: Ray refused")


def test_a_service_that_does_not_answer_is_given_up(run, ray: Path, address: str) -> None:
    began = time.monotonic()
    done = run("cluster", "0.3", env={"RAY_ADDRESS": address, "SLEEP_S": "20"})
    assert time.monotonic() - began < 10
    assert (done.returncode, json.loads(done.stdout)) == (1, {"error": f"{address}: no answer within 0.3 s"})


def test_nothing_that_listens_is_an_error(run, ray: Path, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"127.0.0.1:{listener.getsockname()[1]}"
    done = run("cluster", env={"RAY_ADDRESS": closed})
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == f"{closed}: [Errno 111] Connection refused"


@pytest.mark.parametrize("wrong", ["", "head", "head:"])
def test_an_address_without_a_port_is_an_error(run, wrong: str) -> None:
    done = run("cluster", env={"RAY_ADDRESS": wrong})
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"].endswith("RAY_ADDRESS must be HOST:PORT")


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (" \n", "is empty, it must hold Ray's token")])
def test_without_its_token_ray_is_not_even_asked(
    run, tmp_path: Path, address: str, content: str | None, reason: str
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    done = run("cluster", env={"RAY_ADDRESS": address, "RAY_AUTH_TOKEN_PATH": str(token)})
    assert done.returncode == 1
    assert reason in json.loads(done.stdout)["error"]
