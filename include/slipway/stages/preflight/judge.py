"""The table: which checks a deployment's hosts must pass, and what each says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from slipway.results.preflight import Check, Finding
from slipway.stages.preflight import gpus, machine, network, storage
from slipway.stages.preflight.seen import Seen

MACHINE: Mapping[str, Callable[[Seen], Finding]] = {
    "python": machine.python,
    "disk": machine.disk,
    "memory": machine.memory,
    "shared memory": machine.shared_memory,
    "limits": machine.limits,
    "clock": machine.clock,
    "ports": machine.ports_free,
    "storage": storage.storage,
    "address": network.address,
}
"""Of every host."""


def judge(hosts: Sequence[Seen]) -> list[Check]:
    """Every row, host by host as they are given."""
    return [
        Check(seen.host.name, name, *finding)
        for number, seen in enumerate(hosts)
        for name, finding in _findings(seen, hosts[:number])
    ]


def _findings(seen: Seen, earlier: Sequence[Seen]) -> Iterator[tuple[str, Finding]]:
    for name, check in MACHINE.items():
        yield name, check(seen)
    if len(seen.spec.hosts) > 1:
        yield "machine", network.one_machine(seen, earlier)
        yield "routes", network.routes(seen)
    if network.names_interfaces(seen):
        yield "interfaces", network.interfaces(seen)
    if network.names_rdma(seen):
        yield "rdma", network.rdma(seen)
    if not seen.spec.rehearsal:
        yield "gpus", gpus.gpus(seen, earlier)
        yield "gpu health", gpus.health(seen)
        yield "gpu processes", gpus.processes(seen)
