"""A host as a machine: interpreter, processors, memory, disks, GPUs, ports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.commands import kit, probe
from slipway.hosts import Host


@dataclass(frozen=True)
class TakenPort:
    """A port that somebody listens on; ``owner`` says who, as far as the host lets us see."""

    port: int
    owner: str
    session: int | None


def machine(host: Host, root: str, *, paths: Sequence[str], commands: Sequence[str]) -> Mapping[str, Any]:
    """The probe's answer as it is: it is kept with each run, whole."""
    return kit.reply(host.run(probe.machine(root, paths=paths, commands=commands)))


def taken_ports(host: Host, root: str, ports: Iterable[int]) -> list[TakenPort]:
    """Those of ``ports`` that are not free."""
    answer = kit.reply(host.run(probe.ports(root, ports)))
    return [
        TakenPort(entry["port"], _owner_words(entry.get("owner")), (entry.get("owner") or {}).get("session"))
        for entry in answer["ports"]
        if not entry["free"]
    ]


def _owner_words(owner: Mapping[str, Any] | None) -> str:
    if not owner:
        return "a process that this user may not see"
    return f"{owner.get('command', '?')} (pid {owner.get('pid')}, user {owner.get('user')})"
