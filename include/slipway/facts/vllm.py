"""The vLLM server: whether it takes its arguments, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.commands import kit, openai, probe, python_env
from slipway.hosts import Host
from slipway.spec import DeploymentSpec

PARSER_TIMEOUT_S = 180
"""vLLM's parser is there after its imports: 4 s on a quick machine, more on a cold disk."""


def refused_argument(host: Host, interpreter: str, arguments: Sequence[str]) -> str | None:
    """What that vLLM's own parser says against the arguments; None when it takes them all. Nothing is started."""
    call = python_env.program(
        interpreter, "arguments", stdin=json.dumps(list(arguments)).encode(), timeout_s=PARSER_TIMEOUT_S
    )
    result = host.run(call)
    try:
        answer = json.loads(result.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return f"the parser itself failed:\n{result.last_lines()}"
    return None if answer["ok"] else str(answer["error"])


def answers(host: Host, spec: DeploymentSpec, requests: Sequence[Mapping[str, object]]) -> list[Mapping[str, Any]]:
    """What the server answers to requests made on the host itself, in order."""
    timeout_s = sum(float(str(request["timeout_s"])) for request in requests) + 30
    return list(kit.reply(host.run(probe.http(spec.root, requests, timeout_s=timeout_s)))["responses"])


def metrics_text(host: Host, spec: DeploymentSpec) -> str:
    """The server's counters in Prometheus text; empty where it gives none."""
    [answer] = answers(host, spec, [openai.metrics(spec)])
    return str(answer.get("body", "")) if answer.get("status") == 200 else ""
