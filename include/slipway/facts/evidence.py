"""What is left of a deployment on a host: the ends of its logs, and the state of the host around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.commands import evidence, kit, ray, vllm
from slipway.hosts import Host
from slipway.spec import DeploymentSpec, HostSpec


@dataclass(frozen=True)
class Bundle:
    """The files of one host by name; ``left_out`` are those for which there was no room."""

    host: str
    files: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def bundle(host: Host, spec: DeploymentSpec, place: HostSpec, variables: Mapping[str, str], since: float) -> Bundle:
    """Raises HostError where the host gives none in its time."""
    ports = {*ray.ports(spec, place), *vllm.ports(spec, place)}
    said = kit.reply(host.run(evidence.collect(spec, sorted(ports), variables, since)))
    return Bundle(host.name, said["files"], tuple(said["left_out"]))
