"""Ports that a program of Slipway needs: free, or refused with who holds each and which setting moves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.errors import HostUnfit
from slipway.facts import machine
from slipway.hosts import Host


@dataclass(frozen=True)
class WantedPort:
    """A port, what for, and the setting that moves it."""

    port: int
    purpose: str
    setting: str


def require_free(host: Host, root: str, wanted: Sequence[WantedPort]) -> None:
    """Raises HostUnfit that names every port of ``wanted`` that is taken; changes nothing."""
    taken = {entry.port: entry.owner for entry in machine.taken_ports(host, root, [entry.port for entry in wanted])}
    faults = [entry for entry in wanted if entry.port in taken]
    if not faults:
        return
    lines = [f"port {entry.port} for {entry.purpose} is taken by {taken[entry.port]}" for entry in faults]
    settings = ", ".join(dict.fromkeys(entry.setting for entry in faults))
    raise HostUnfit(host.name, "\n".join(lines), hint=f"end that program, or choose another port: {settings}")
