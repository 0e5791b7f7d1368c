"""Questions to a host that change nothing: the machine, its ports, an HTTP answer as the host itself gets it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from slipway.commands import kit
from slipway.shell import Command
from slipway.spec.layout import Layout

GPU_LOAD_S = 30.0
"""A driver that takes longer is not asked again."""


def machine(root: str, *, paths: Sequence[str], commands: Sequence[str]) -> Command:
    """Python, processors, memory, disks below ``paths``, limits, GPUs, and where ``commands`` are found."""
    return kit.call(root, "probe", "machine", {"paths": list(paths), "commands": list(commands)})


def ports(root: str, ports: Iterable[int], *, address: str = "0.0.0.0") -> Command:  # noqa: S104 - a test-bind, closed at once
    """Whether each port is free, and if not, who holds it."""
    return kit.call(root, "probe", "ports", {"ports": [{"host": address, "port": port} for port in ports]})


def gpu_load(root: str, deployment: str) -> Command:
    """What the GPUs do now, and which processes on them are not of ``deployment``."""
    return kit.call(root, "probe", "gpu_load", {"deployment": deployment}, timeout_s=GPU_LOAD_S)


def counters(root: str, roles: Sequence[str]) -> Command:
    """What the processes of these roles have used of CPU and disk by now, and how much GPU memory is in use."""
    return kit.call(root, "probe", "counters", {"folder": Layout(root).agents, "roles": list(roles)})


def network(root: str, address: str, peers: Iterable[Mapping[str, object]]) -> Command:
    """Where ``address`` is on the host, and the way from it to each of ``peers``: a name, an address, a port."""
    return kit.call(root, "probe", "network", {"address": address, "peers": [dict(peer) for peer in peers]})


def reading(root: str, folder: str, *, seconds: float, limit_bytes: int) -> Command:
    """How fast the folder's storage is read, by a sample."""
    asked = {"folder": folder, "seconds": seconds, "limit_bytes": limit_bytes}
    return kit.call(root, "probe", "reading", asked)


def http(root: str, requests: Sequence[Mapping[str, object]], *, timeout_s: float) -> Command:
    """HTTP requests made on the host, one after the other; ``timeout_s`` bounds all of them together."""
    return kit.call(root, "probe", "http", {"requests": [dict(request) for request in requests]}, timeout_s=timeout_s)
