"""The network proof: what ``serving/collective.py`` is asked on each host, so that all ranks find each other."""

from __future__ import annotations

import json

from slipway.spec import DeploymentSpec, HostSpec

SECONDS = 50.0
"""How long the ranks may take, imports with them; then each host tells who was missing."""

ANSWERING_S = 10.0
"""What connecting, starting and answering may take beside that."""

SMALL_BYTES = 8
LARGE_BYTES = 64 << 20
REHEARSED_BYTES = 4 << 20


def backend(spec: DeploymentSpec) -> str:
    return "gloo" if spec.rehearsal else "nccl"


def large_bytes(spec: DeploymentSpec) -> int:
    """Size of the large message."""
    return REHEARSED_BYTES if spec.rehearsal else LARGE_BYTES


def first_rank(spec: DeploymentSpec, host: HostSpec) -> int:
    """Ranks are counted through, host by host as in the file: one for each GPU."""
    return sum(each.gpus for each in spec.hosts[: spec.hosts.index(host)])


def request(spec: DeploymentSpec, host: HostSpec, meeting_port: int, seconds: float = SECONDS) -> bytes:
    """Standard input of one host's part. The ranks meet on the head, at ``meeting_port``."""
    asked = {
        "backend": backend(spec),
        "store": [spec.head.address, meeting_port],
        "first": first_rank(spec, host),
        "ranks": host.gpus,
        "world": spec.gpus,
        "large_bytes": large_bytes(spec),
        "seconds": seconds,
    }
    return json.dumps(asked).encode()
