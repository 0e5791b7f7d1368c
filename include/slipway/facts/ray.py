"""The Ray cluster, as Ray itself reports it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway.commands import python_env
from slipway.commands import ray as ray_commands
from slipway.hosts import Host
from slipway.spec import DeploymentSpec


@dataclass(frozen=True)
class Cluster:
    """Alive nodes with their GPUs, by address, and what else holds GPUs; ``error`` says why nothing could be read."""

    gpus: Mapping[str, float]
    placement_groups: tuple[str, ...] = ()
    error: str = ""


def parse_cluster(data: Mapping[str, Any]) -> Cluster:
    if "error" in data:
        return Cluster({}, error=str(data["error"]))
    return Cluster(
        gpus={node["address"]: node["gpus"] for node in data["nodes"] if node["alive"]},
        placement_groups=tuple(group["id"] for group in data["placement_groups"] if group["state"] != "REMOVED"),
    )


def cluster(head: Host, spec: DeploymentSpec, interpreter: str, timeout_s: float = 30.0) -> Cluster:
    """Asked on the head, with the deployment's own token. One that does not answer is empty, with an error."""
    call = python_env.program(interpreter, "cluster", env=ray_commands.client_env(spec), timeout_s=timeout_s)
    result = head.run(call)
    try:
        return parse_cluster(json.loads(result.stdout))
    except ValueError:
        return Cluster({}, error=result.last_lines(3))


def missing(spec: DeploymentSpec, seen: Cluster) -> list[str]:
    """What the deployment wants and the cluster lacks, host by host; empty when the cluster is as wanted."""
    if seen.error:
        return [f"Ray does not answer: {seen.error}"]
    lacks = []
    for host in spec.hosts:
        if host.address not in seen.gpus:
            lacks.append(f"{host.name} ({host.address}) has not joined")
        elif seen.gpus[host.address] != host.gpus:
            lacks.append(f"{host.name} ({host.address}) has {seen.gpus[host.address]:g} GPUs, wanted {host.gpus}")
    wanted = {host.address for host in spec.hosts}
    return lacks + [
        f"{address} is in the cluster and not in the file" for address in seen.gpus if address not in wanted
    ]
