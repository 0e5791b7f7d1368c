"""Prints a Ray cluster as its control service (GCS) knows it, as one JSON object; run by the serving environment.

    RAY_ADDRESS=HOST:PORT python cluster.py [SECONDS]

    {"nodes": [{"name", "address", "alive", "gpus", "cpus", "node_id"}],
     "placement_groups": [{"id", "state", "bundles": [{"node_id", "resources"}]}]}

or ``{"error": "..."}`` and exit code 1. It reads the service's tables and joins nothing: no job, driver or worker is
left behind. It ends after SECONDS (20) at the latest. Ray's token comes from the environment.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

SECONDS = 20.0


def cluster(address: str, seconds: float) -> dict[str, Any]:
    """Nodes and placement groups. Raises OSError where nothing listens, RuntimeError where Ray refuses."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise ValueError("RAY_ADDRESS must be HOST:PORT")
    _check_token()
    socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
    accessor = _connected(address)
    return {
        "nodes": [_node(node) for node in accessor.get_node_table()],
        "placement_groups": [_placement_group(data) for data in accessor.get_placement_group_table()],
    }


def _check_token() -> None:
    """Ray's client aborts the whole process where it is told of a token file and finds no token."""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if path and not Path(path).read_text(encoding="utf-8").strip():
        raise ValueError(f"{path} is empty, it must hold Ray's token")


def _connected(address: str) -> Any:
    from ray._raylet import GcsClientOptions, GlobalStateAccessor

    options = GcsClientOptions.create(address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False)
    accessor = GlobalStateAccessor(options)
    if not accessor.connect():
        raise RuntimeError("Ray refused: another token, another version of Ray, or not Ray at all")
    return accessor


def _node(node: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": node["NodeName"],
        "address": node["NodeManagerAddress"],
        "alive": node["Alive"],
        "gpus": node["Resources"].get("GPU", 0.0),
        "cpus": node["Resources"].get("CPU", 0.0),
        "node_id": node["NodeID"],
    }


def _placement_group(data: bytes) -> dict[str, Any]:
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData

    group = PlacementGroupTableData.FromString(data)
    return {
        "id": group.placement_group_id.hex(),
        "state": PlacementGroupTableData.PlacementGroupState.Name(group.state),
        "bundles": [
            {"node_id": bundle.node_id.hex(), "resources": dict(bundle.unit_resources)} for bundle in group.bundles
        ],
    }


def _write(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _give_up(address: str, seconds: float) -> None:
    """From a thread of its own, since Ray's calls take no deadline."""
    _write({"error": f"{address}: no answer within {seconds:g} s"})
    os._exit(1)


def main(seconds: float = SECONDS) -> int:
    address = os.environ.get("RAY_ADDRESS", "")
    deadline = threading.Timer(seconds, _give_up, (address, seconds))
    deadline.daemon = True
    deadline.start()
    try:
        answer = cluster(address, seconds)
    except (OSError, RuntimeError, ValueError) as error:
        answer = {"error": f"{address}: {error}" if address else str(error)}
    deadline.cancel()
    _write(answer)
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:2])))
