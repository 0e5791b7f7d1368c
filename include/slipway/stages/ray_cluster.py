"""Stage *ray_cluster*: the deployment's own Ray runs on every host, with every GPU, as Ray itself reports it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.commands import agent, kit, python_env, ray, vllm
from slipway.errors import NotConverged, ServerDied
from slipway.facts import ray as clusters
from slipway.facts.role import RoleState, last_lines, role
from slipway.hosts import Host, on_each
from slipway.shell import Command
from slipway.spec import DeploymentSpec, Layout
from slipway.stages.site import Action, Outcome, Plan, Site, act, starting

LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Seen:
    """By host: Ray's role and the token's text; and the role of the server that would go down with Ray."""

    roles: Mapping[str, RoleState] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    server: RoleState = field(default_factory=lambda: RoleState("vllm"))


def look(site: Site) -> Seen:
    by_host = {host.name: host for host in site.spec.hosts}
    return Seen(
        roles=on_each(site.hosts.values(), lambda h: role(h, site.root, ray.role_name(site.spec, by_host[h.name]))),
        tokens=on_each(site.hosts.values(), lambda host: _token(site, host)),
        server=role(site.head, site.root, vllm.role_name(site.spec)),
    )


def plan(spec: DeploymentSpec, interpreter: str, seen: Seen, fresh_token: str) -> Plan:
    """Same token everywhere; whatever runs and differs is stopped, the server first; then the head, then the workers.

    A cluster that lost a part starts again as a whole: Ray's head forgets, and workers do not find a new one.
    """
    token = seen.tokens.get(spec.head.name) or fresh_token
    wanted = {host.name: ray.role(spec, host, interpreter) for host in spec.hosts}
    states = {name: seen.roles.get(name, RoleState(wanted[name].name)) for name in wanted}
    whole = all(states[n].alive and states[n].digest == wanted[n].digest() for n in wanted)
    same_token = all(seen.tokens.get(name) == token for name in wanted)
    if whole and same_token:
        return
    if seen.server.alive:
        yield [
            Action(
                spec.head.name, agent.stop(spec.root, vllm.role_name(spec)), "stop vLLM: its Ray cluster starts anew"
            )
        ]
    if alive := [name for name in wanted if states[name].alive]:
        yield [
            Action(name, agent.stop(spec.root, wanted[name].name), "stop Ray: it is not as wanted") for name in alive
        ]
    if lacking := [name for name in wanted if seen.tokens.get(name) != token]:
        yield [Action(name, _write_token(spec, token), "write Ray's token (0600)") for name in lacking]
    yield [starting(spec.head.name, spec.root, wanted[spec.head.name], "start Ray's head")]
    if spec.workers:
        yield [starting(host.name, spec.root, wanted[host.name], "join the cluster") for host in spec.workers]


def converge(site: Site) -> Outcome:
    """Start what is not as wanted, then hold the gate: every host and GPU there. Raises ServerDied, NotConverged."""
    interpreter = python_env.python(site.spec, site.lock)
    actions = act(site, plan(site.spec, interpreter, look(site), secrets.token_hex(32)))
    cluster = _gate(site, interpreter)
    return Outcome(actions, {"address": ray.address(site.spec), "gpus": dict(cluster.gpus)})


def _gate(site: Site, interpreter: str) -> clusters.Cluster:
    """Wait until Ray itself reports what the file asks for; at once an error when a part of it has died."""
    deadline = time.monotonic() + site.spec.ray.timeout_s
    while True:
        seen = clusters.cluster(site.head, site.spec, interpreter)
        missing = clusters.missing(site.spec, seen)
        if not missing:
            site.say(f"Ray at {ray.address(site.spec)}: " + ", ".join(f"{a} {g:g} GPUs" for a, g in seen.gpus.items()))
            return seen
        require_alive(site)
        if time.monotonic() > deadline:
            raise NotConverged(
                f"Ray is not as wanted after {site.spec.ray.timeout_s} s: {'; '.join(missing)}",
                hint="look at the agent's log of that host, its address and its firewall",
            )
        time.sleep(LOOK_EVERY_S)


def require_alive(site: Site) -> None:
    """Raises ServerDied for the first host whose part of the cluster has ended."""
    for host in site.spec.hosts:
        name = ray.role_name(site.spec, host)
        state = role(site.hosts[host.name], site.root, name)
        if not state.alive:
            said = last_lines(site.hosts[host.name], site.root, name)
            hint = "mend what its last lines name, then clear the ray_cluster task: the cluster starts anew"
            raise ServerDied(f"[{host.name}] Ray ended: {state.ended}\n{said}", hint=hint)


def _token(site: Site, host: Host) -> str:
    path = Layout(site.root).ray_token(site.spec.name)
    answer = kit.reply(host.run(kit.call(site.root, "files", "read", {"path": path, "limit": 4096})))
    return str(answer.get("text") or "").strip()


def _write_token(spec: DeploymentSpec, token: str) -> Command:
    request = {"path": Layout(spec.root).ray_token(spec.name), "text": token, "mode": 0o600}
    return kit.call(spec.root, "files", "write", request, secret=True)
