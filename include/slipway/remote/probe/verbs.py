"""The program ``probe``: looks at a host, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slipway.remote.probe.asking import ask, parse_question
from slipway.remote.probe.counters import counters
from slipway.remote.probe.gpu_load import gpu_load
from slipway.remote.probe.machine import machine
from slipway.remote.probe.network import network
from slipway.remote.probe.ports import port
from slipway.remote.probe.reading import reading
from slipway.remote.request import Request


def ports(request: Request) -> dict[str, Any]:
    """For each of ``ports``, a host and a port, whether it is free; where it is not, who holds it."""
    return {"ports": [port(part) for part in request.parts("ports")]}


def http(request: Request) -> dict[str, Any]:
    """Make HTTP ``requests`` one after the other; a request that fails is an answer, too."""
    questions = [parse_question(part) for part in request.parts("requests")]
    return {"responses": [ask(question) for question in questions]}


VERBS: Mapping[str, Callable[[Request], dict[str, Any]]] = {
    "counters": counters,
    "gpu_load": gpu_load,
    "http": http,
    "machine": machine,
    "network": network,
    "ports": ports,
    "reading": reading,
}
