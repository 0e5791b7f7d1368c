"""Stage *serve*: vLLM runs as the deployment says, kept by the agents, apart from Airflow.

Over Ray it is one role on the head; with backend mp a role on every host, which live and end together.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from slipway.commands import agent, openai, python_env, ray, vllm
from slipway.commands.agent import Role
from slipway.diagnosis import catalogue
from slipway.errors import ServerDied, SpecError
from slipway.facts.role import RoleState, last_lines, role
from slipway.facts.vllm import refused_argument
from slipway.hosts import on_each
from slipway.results.prometheus import COUNTERS, KV_USE
from slipway.spec import DeploymentSpec, HostSpec
from slipway.stages import api_key, model_store
from slipway.stages.api_key import NO_KEY, KeyFile
from slipway.stages.site import Action, Outcome, Plan, Site, act, ends_service, starting
from slipway.stages.weights import model_path

COMPLETION_S = 12
"""How long one completion of one token may take when the agent asks whether the engine works. Before the first of three
it counts nothing for 10 to 15 s, so an engine that hangs is found within a minute."""

ASIDE_S = 2
"""How long what needs no engine may take."""

SIGNS = (COUNTERS["prompt_tokens"], COUNTERS["generation_tokens"], KV_USE)
"""What moves while an engine works: the last also through a long prompt, whose tokens are counted at its end."""

Roles = Mapping[str, Role]
"""The wanted parts of the server, by host; the head's is the first."""

Seen = Mapping[str, RoleState]
"""What runs of the server on each host, also where the deployment wants none."""


def wanted(spec: DeploymentSpec, interpreter: str, model: str) -> Roles:
    parts = {
        host.name: vllm.role(spec, host, _program(spec, host, interpreter), model, variables(spec, host))
        for host in vllm.hosts(spec)
    }
    if spec.serve.restart:
        parts[spec.head.name] = replace(parts[spec.head.name], causes=causes(), liveness=liveness(spec))
    return parts


def liveness(spec: DeploymentSpec) -> Mapping[str, object]:
    """How the head's agent sees whether the engine works."""
    completion = openai.completion(spec, "Hello", max_tokens=1)
    aside = {"metrics": openai.metrics(spec), "health": openai.health(spec)}
    return {
        "completion": {**completion, "timeout_s": COMPLETION_S},
        **{name: {**asked, "timeout_s": ASIDE_S} for name, asked in aside.items()},
        "signs": list(SIGNS),
    }


@functools.cache
def causes() -> Sequence[Mapping[str, object]]:
    """The catalogue as the agent looks through a server's log with it, the most telling causes first."""
    known = sorted((each for each in catalogue() if {"vllm", "kernel"} & each.programs), key=lambda each: each.rank)
    most = int(agent.RESTART["times"])
    return [
        {"id": each.id, "pattern": each.pattern.pattern, "times": most if each.restarts is None else each.restarts}
        for each in known
    ]


def _program(spec: DeploymentSpec, host: HostSpec, interpreter: str) -> tuple[str, ...]:
    if host == spec.head:
        return (interpreter, "-m", vllm.MODULE)
    return python_env.program(interpreter, "headless", timeout_s=0).argv


def variables(spec: DeploymentSpec, host: HostSpec) -> Mapping[str, str]:
    """What the server's workers have on a host: the variables of their Ray, or without Ray their own."""
    return ray.client_env(spec, host) if spec.serve.backend == "ray" else vllm.env(spec, host)


def look(site: Site) -> Seen:
    names = {host.name: vllm.role_name(site.spec, host) for host in site.spec.hosts}
    return on_each(site.hosts.values(), lambda host: role(host, site.root, names[host.name]))


def plan(spec: DeploymentSpec, parts: Roles, seen: Seen, key: KeyFile = NO_KEY) -> Plan:
    """Where one part is not as wanted, or has another API key, stop every part, the head's first, and start all that
    are wanted. The key is changed while nothing runs: what it says is what a server that runs was started with.
    """
    alive = {host.name: seen[host.name] for host in spec.hosts if host.name in seen and seen[host.name].alive}
    running = {name: state.digest for name, state in alive.items()}
    as_wanted = running == {name: part.digest() for name, part in parts.items()}
    if as_wanted and key.as_wanted:
        return
    yield from stops(spec, alive, "its API key has changed" if as_wanted else "it is not as wanted")
    if not key.as_wanted:
        yield [api_key.put(spec, key)]
    yield [starting(name, spec.root, part, "start vLLM") for name, part in parts.items()]


def stops(spec: DeploymentSpec, alive: Seen, why: str) -> Plan:
    """End every part that is alive, the head's first."""
    actions = [
        Action(name, agent.stop(spec.root, state.role), f"stop vLLM: {why}", ends_service=name == spec.head.name)
        for name, state in alive.items()
    ]
    yield from ([stop] for stop in actions if stop.host == spec.head.name)
    if rest := [stop for stop in actions if stop.host != spec.head.name]:
        yield rest


def converge(site: Site, model: str = "") -> Outcome:
    """Start the server where it does not run as wanted. Raises SpecError for arguments that this vLLM refuses, and
    for code of the model that the file does not trust.

    Arguments are asked about only where a server would be stopped for them: the first start asks that parser by itself,
    and saves its second import. ``model`` is the folder of its weights on the hosts, by default that of the source as
    it is now. A revision that is given with it has served before, so its arguments are not asked about again.
    """
    interpreter = python_env.python(site.spec, site.lock)
    folder = model or model_path(site)
    parts = wanted(site.spec, interpreter, folder)
    server = parts[site.spec.head.name]
    rounds = list(plan(site.spec, parts, look(site), api_key.look(site)))
    if not model and ends_service(rounds):
        require_accepted(site)
    if rounds and site.spec.trusts_code:
        model_store.require_trusted(site, folder)
    if rounds and folder != site.spec.weights.source:
        model_store.warm(site, folder)
    actions = act(site, rounds)
    return Outcome(actions, {"endpoint": site.spec.endpoint, "command": server.steps[0].line()})


def require_alive(site: Site) -> None:
    """Raises ServerDied, which names every part of the server that has ended, with its last lines."""
    hosts = [site.hosts[host.name] for host in vllm.hosts(site.spec)]
    names = {host.name: vllm.role_name(site.spec, host) for host in site.spec.hosts}
    states = on_each(hosts, lambda host: role(host, site.root, names[host.name]))
    ended = {host.name: host for host in hosts if not states[host.name].alive}
    if ended:
        told = [f"[{n}] vLLM ended: {states[n].ended}\n{last_lines(h, site.root, names[n])}" for n, h in ended.items()]
        raise ServerDied("\n".join(told), hint="mend what its last lines name")


def require_accepted(site: Site) -> None:
    """Raises SpecError for arguments that this vLLM refuses. Asked before anything is stopped for them."""
    interpreter = python_env.python(site.spec, site.lock)
    server = wanted(site.spec, interpreter, site.spec.weights.source)[site.spec.head.name]
    words = [*server.steps[0].argv[3:]]
    if error := refused_argument(site.head, interpreter, words):
        raise SpecError(
            f"[{site.head.name}] vLLM's own parser refuses serve.args: {error}",
            hint="`slipway check FILE` names each argument; mend serve.args. Nothing was started or stopped",
        )
