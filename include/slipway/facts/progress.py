"""Whether what is silent works: what its processes have used up by now, and what moved since the last look."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from slipway.commands import kit, probe, ray, vllm
from slipway.hosts import Host
from slipway.spec import DeploymentSpec, HostSpec

BUSY = 0.1
"""A process that uses more than this part of one core works. One that waits in vLLM or Ray stays below 0.02."""

READ_BYTES = 1 << 20
GPU_BYTES = 64 << 20
"""What must have been read, or taken or given back of GPU memory, between two looks to count."""

RAY_WORKER = re.compile(r"ray::(?!Dashboard|RuntimeEnv)")
"""How Ray titles its workers, those that still import vLLM too. Its services say nothing about the server."""


class Used(NamedTuple):
    """What one process has used up since it began."""

    cpu_s: float
    read_bytes: int


@dataclass(frozen=True)
class Counters:
    """One look at one host: by process id and start time. ``at`` is when, on the clock of whoever looked."""

    at: float
    processes: Mapping[tuple[int, int], Used] = field(default_factory=dict)
    gpu_memory_bytes: int | None = None
    utc_offset_s: int = 0


def counters(host: Host, spec: DeploymentSpec, at: float) -> Counters:
    """The server's processes on a host: those of its own role, and Ray's workers of this deployment."""
    place = next(each for each in spec.hosts if each.name == host.name)
    return parse_counters(kit.reply(host.run(probe.counters(spec.root, _roles(spec, place)))), at)


def parse_counters(data: Mapping[str, Any], at: float) -> Counters:
    return Counters(
        at=at,
        processes={
            (each["pid"], each["began"]): Used(each["cpu_s"], each["read_bytes"])
            for each in _servers(data["processes"])
        },
        gpu_memory_bytes=data["gpu_memory_bytes"],
        utc_offset_s=data["utc_offset_s"],
    )


def moved(before: Counters, after: Counters) -> str:
    """What went on between two looks at one host, in words; empty where nothing did."""
    both = before.processes.keys() & after.processes.keys()
    seconds = max(after.at - before.at, 0.001)
    read = sum(after.processes[key].read_bytes - before.processes[key].read_bytes for key in both)
    if read >= READ_BYTES:
        return f"reads {read / seconds / 1e6:.0f} MB/s"
    busiest = max((after.processes[key].cpu_s - before.processes[key].cpu_s for key in both), default=0.0)
    if busiest / seconds >= BUSY:
        return "computes"
    memory = (before.gpu_memory_bytes, after.gpu_memory_bytes)
    if None not in memory and abs(memory[1] - memory[0]) >= GPU_BYTES:  # type: ignore[operator]
        return "GPU memory changes"
    return ""


def _roles(spec: DeploymentSpec, host: HostSpec) -> Sequence[str]:
    own = [vllm.role_name(spec, host)] if host in vllm.hosts(spec) else []
    return [*own, ray.role_name(spec, host)] if spec.serve.backend == "ray" else own


def _servers(processes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The server's own: in a role of Ray, its workers and what they started, such as compilers."""
    by_pid = {each["pid"]: each for each in processes}

    def counts(each: Mapping[str, Any] | None) -> bool:
        if each is None:
            return False
        if not str(each["role"]).endswith((".ray-head", ".ray-worker")):
            return True
        return bool(RAY_WORKER.match(each["title"])) or counts(by_pid.get(each["parent"]))

    return [each for each in processes if counts(each)]
