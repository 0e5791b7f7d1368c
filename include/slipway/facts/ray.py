"""The Ray cluster, as Ray itself reports it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slipway.commands import python_env
from slipway.commands import ray as ray_commands
from slipway.hosts import Host
from slipway.spec import DeploymentSpec

NOWHERE = "no host yet"
STARTING_S = 10.0
"""What the asking program may take beside Ray's own time to answer: its imports, from a cold disk too."""


@dataclass(frozen=True)
class PlacementGroup:
    """What a driver holds of the cluster: ``bundles`` say how much of what, and on which address, in words."""

    id: str
    bundles: tuple[str, ...] = ()

    @property
    def placed(self) -> bool:
        return not any(bundle.endswith(NOWHERE) for bundle in self.bundles)

    def __str__(self) -> str:
        return f"placement group {self.id} ({', '.join(self.bundles) or 'no bundles'})"


@dataclass(frozen=True)
class Cluster:
    """Alive nodes with their GPUs, by address, and what holds GPUs; ``error`` says why nothing could be read."""

    gpus: Mapping[str, float]
    placement_groups: tuple[PlacementGroup, ...] = ()
    error: str = ""


def parse_cluster(data: Mapping[str, Any]) -> Cluster:
    if "error" in data:
        return Cluster({}, error=str(data["error"]))
    places = {node["node_id"]: node["address"] for node in data["nodes"]}
    return Cluster(
        gpus={node["address"]: node["gpus"] for node in data["nodes"] if node["alive"]},
        placement_groups=tuple(
            PlacementGroup(group["id"], tuple(_bundle(bundle, places) for bundle in group["bundles"]))
            for group in data["placement_groups"]
            if group["state"] != "REMOVED"
        ),
    )


def cluster(host: Host, spec: DeploymentSpec, interpreter: str, answer_s: float = 20.0) -> Cluster:
    """Asked on a host, with the deployment's own token. One that does not answer in time is empty, with an error."""
    asker = next(each for each in spec.hosts if each.name == host.name)
    call = python_env.program(
        interpreter, "cluster", env=ray_commands.client_env(spec, asker), timeout_s=answer_s + STARTING_S
    )
    result = host.run(dataclasses.replace(call, argv=(*call.argv, f"{answer_s:.1f}")))
    try:
        return parse_cluster(json.loads(result.stdout))
    except ValueError:
        return Cluster({}, error=result.last_lines(3))


def missing(spec: DeploymentSpec, seen: Cluster, own_groups: int = 0) -> list[str]:
    """How the cluster differs from what the deployment wants, in words; empty when it is as wanted.

    ``own_groups`` is how many placement groups its own server may hold: none while it does not run.
    """
    if seen.error:
        return [f"Ray does not answer: {seen.error}"]
    return [*_nodes(spec, seen), *_groups(seen, own_groups)]


def server_groups(spec: DeploymentSpec) -> int:
    """How many placement groups a server that runs holds: one for each copy of the model."""
    return int(str(spec.serve.args.get("data-parallel-size", 1)))


def in_the_way(spec: DeploymentSpec, seen: Cluster) -> str:
    """Who holds the GPUs for which a placement group waits, in words.

    Empty where the cluster lacks a host or a GPU, which may still come, and where no placement group waits.
    """
    if seen.error or any(_nodes(spec, seen)) or all(group.placed for group in seen.placement_groups):
        return ""
    holders = [str(group) for group in seen.placement_groups if group.placed]
    return "; ".join(holders) or "a task or an actor that is in no placement group"


def _nodes(spec: DeploymentSpec, seen: Cluster) -> Iterator[str]:
    for host in spec.hosts:
        if host.address not in seen.gpus:
            yield f"{host.name} ({host.address}) has not joined"
        elif seen.gpus[host.address] != host.gpus:
            yield f"{host.name} ({host.address}) has {seen.gpus[host.address]:g} GPUs, wanted {host.gpus}"
    wanted = {host.address for host in spec.hosts}
    yield from (f"{address} is in the cluster and not in the file" for address in seen.gpus if address not in wanted)


def _groups(seen: Cluster, own: int) -> Iterator[str]:
    held = seen.placement_groups
    if len(held) <= own:
        return
    told = "; ".join(map(str, held))
    if own:
        yield f"somebody else uses the cluster, of {len(held)} placement groups our server has only {own}: {told}"
    else:
        yield f"somebody else uses the cluster, our server does not run: {told}"


def _bundle(bundle: Mapping[str, Any], places: Mapping[str, str]) -> str:
    resources = " ".join(f"{amount:g} {name}" for name, amount in sorted(bundle["resources"].items()))
    return f"{resources} on {places.get(bundle['node_id'], NOWHERE)}"
