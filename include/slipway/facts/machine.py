"""A host as a machine: interpreter, processors, memory, disks, GPUs, ports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.commands import kit, probe
from slipway.errors import HostUnfit
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


@dataclass(frozen=True)
class Peer:
    """Another host as one host sees it. ``local``: its address is on this host; ``fault``: why it does not answer."""

    name: str
    address: str
    local: bool
    interface: str | None
    source: str | None
    fault: str | None


@dataclass(frozen=True)
class Links:
    """The cluster network on one host. ``interface`` carries its address; ``infiniband`` has port states by device."""

    local: bool
    interface: str | None
    interfaces: Mapping[str, Sequence[str]]
    peers: Sequence[Peer]
    infiniband: Mapping[str, Mapping[str, str]]
    namespace: str


def links(host: Host, root: str, address: str, peers: Iterable[Mapping[str, object]]) -> Links:
    """Where ``address`` is on the host, and its way to each peer: a name, an address, a port."""
    answer = kit.reply(host.run(probe.network(root, address, peers)))
    return Links(**{**answer, "peers": [Peer(**peer) for peer in answer["peers"]]})


def gpu_memory(host: Host, root: str) -> dict[int, int | None]:
    """Bytes in use on each GPU, by its number, that no living process accounts for; None where that is not known.

    Raises HostUnfit where the driver does not answer.
    """
    seen = machine(host, root, paths=(), commands=())
    if seen["gpu_error"]:
        hint = "look at nvidia-smi and dmesg there"
        raise HostUnfit(host.name, f"its GPU driver does not answer: {seen['gpu_error']}", hint=hint)
    return {gpu["index"]: _unclaimed(gpu, seen["gpu_processes"]) for gpu in seen["gpus"]}


def chosen_gpus(env: Mapping[str, str], count: int, found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of a host's GPUs those that a deployment takes: what CUDA_VISIBLE_DEVICES names, else the first ``count``."""
    named = env.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(found[:count])
    words = [word.strip() for word in named.split(",") if word.strip()]
    return [gpu for gpu in found if any(_names(word, gpu) for word in words)]


def _names(word: str, gpu: Mapping[str, Any]) -> bool:
    return int(word) == gpu["index"] if word.isdigit() else str(gpu["uuid"]).startswith(word)


def gpu_load(host: Host, root: str, deployment: str) -> Mapping[str, Any]:
    """The probe's answer as it is: what each GPU does now, and the processes on them that are not the deployment's."""
    return kit.reply(host.run(probe.gpu_load(root, deployment)))


def _unclaimed(gpu: Mapping[str, Any], processes: Iterable[Mapping[str, Any]]) -> int | None:
    """A process that the driver still names, but that is not there any more, accounts for nothing."""
    visible = [process for process in processes if process.get("command") is not None]
    claimed = [process["memory_bytes"] for process in visible if process["gpu_uuid"] == gpu["uuid"]]
    used = gpu["memory_used_bytes"]
    return None if used is None or None in claimed else max(0, used - sum(claimed))


def _owner_words(owner: Mapping[str, Any] | None) -> str:
    if not owner:
        return "a process that this user may not see"
    return f"{owner.get('command', '?')} (pid {owner.get('pid')}, user {owner.get('user')})"
