"""The vLLM server: whether it takes its arguments, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.commands import kit, openai, probe, python_env
from slipway.hosts import Host
from slipway.results.prometheus import COUNTERS, parse_metrics
from slipway.spec import DeploymentSpec

PARSER_TIMEOUT_S = 180
"""vLLM's parser is there after its imports: 4 s on a quick machine, more on a cold disk."""

PULSE_S = 15.0
"""How long one completion of one token may take before it counts as missed."""

MISSES = 3
"""How many completions must be missed in a row before an engine that counts no token is called wedged: 45 s."""

ASIDE_S = 2.0
"""How long /health and /metrics may take, which need no engine."""


@dataclass(frozen=True)
class Pulse:
    """What a server showed while one completion of one token was asked of it.

    ``status`` is the completion's HTTP status, None where none came in time; ``tokens`` are the prompt and generation
    tokens that its engine had counted before and after, None where /metrics does not tell.
    """

    status: int | None
    seconds: float
    healthy: bool
    tokens: tuple[float | None, float | None]

    @property
    def works(self) -> bool:
        """The engine has counted tokens meanwhile: one that misses the completion is saturated, not dead."""
        before, after = self.tokens
        return before is not None and after is not None and after != before


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


def pulse(host: Host, spec: DeploymentSpec) -> Pulse:
    """Ask for one completion of one token, on the host itself, and look at /metrics and /health around it."""
    completion = {**openai.completion(spec, "Hello", max_tokens=1), "timeout_s": PULSE_S}
    metrics, health = ({**each, "timeout_s": ASIDE_S} for each in (openai.metrics(spec), openai.health(spec)))
    before, answer, after, state = answers(host, spec, [metrics, completion, metrics, health])
    return Pulse(
        status=answer.get("status"),
        seconds=float(answer.get("seconds", 0.0)),
        healthy=state.get("status") == 200,
        tokens=(_tokens(before), _tokens(after)),
    )


def wedged(pulses: Sequence[Pulse]) -> bool:
    """Whether an engine hangs, from the last looks at it, oldest first. Pure.

    No completion was answered, although /health is 200, and no token was counted from the first of these looks to the
    last. A saturated engine counts tokens; of one whose counters cannot be read nothing is said.
    """
    last = pulses[-MISSES:]
    if len(last) < MISSES or not last[-1].healthy or any(each.status is not None for each in last):
        return False
    counted = {tokens for each in last for tokens in each.tokens}
    return len(counted) == 1 and None not in counted


def _tokens(answer: Mapping[str, Any]) -> float | None:
    """The prompt and generation tokens of a /metrics answer together."""
    if answer.get("status") != 200:
        return None
    samples = parse_metrics(str(answer.get("body", "")))
    names = [COUNTERS["prompt_tokens"], COUNTERS["generation_tokens"]]
    return sum(samples[name] for name in names) if all(name in samples for name in names) else None
