"""Stage *ray_cluster*: the deployment's own Ray runs on every host, with every GPU, as Ray itself reports it.

With backend mp there is no Ray, and the stage ends what an earlier revision has left of one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.commands import agent, python_env, ray, vllm
from slipway.errors import NotConverged, ServerDied
from slipway.facts import ray as clusters
from slipway.facts.files import text_of
from slipway.facts.role import RoleState, last_lines, role
from slipway.hosts import Host, on_each
from slipway.shell import Command
from slipway.spec import DeploymentSpec, HostSpec, Layout
from slipway.stages import secret_file, serve
from slipway.stages.site import Action, Outcome, Plan, Site, act, ends_service, starting

LOOK_EVERY_S = 1.0
LEAST_ANSWER_S = 5.0
"""What Ray gets to answer even when the time is nearly over, so that the error tells what it said."""

JOIN_TRIES = 2
"""How often a worker that ended before the cluster was whole joins again."""


@dataclass(frozen=True)
class Seen:
    """By host: Ray's role and the token's text; and the role of the server that would go down with Ray."""

    roles: Mapping[str, RoleState] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    server: RoleState = field(default_factory=lambda: RoleState("vllm"))


def look(site: Site) -> Seen:
    by_host = {host.name: host for host in site.spec.hosts}
    return Seen(
        roles=on_each(site.hosts.values(), lambda host: _state(site, by_host[host.name])),
        tokens=on_each(site.hosts.values(), lambda host: _token(site, host)),
        server=role(site.head, site.root, vllm.role_name(site.spec)),
    )


def plan(spec: DeploymentSpec, interpreter: str, seen: Seen, fresh_token: str) -> Plan:
    """Same token everywhere; whatever runs and differs is stopped, the server first; then the head, then the workers.

    A cluster that lost a part starts again as a whole: Ray's head forgets, and workers do not find a new one. Where the
    server does not use Ray, only what an earlier revision left is stopped.
    """
    if spec.serve.backend != "ray":
        yield from _stop(spec, seen, "stop Ray: it is not used any more")
    elif not _as_wanted(spec, interpreter, seen):
        yield from _start_head(spec, interpreter, seen, fresh_token)
        yield from _join(spec, interpreter)


def _as_wanted(spec: DeploymentSpec, interpreter: str, seen: Seen) -> bool:
    """Every part runs as wanted, and all have one token."""
    wanted = {host.name: ray.role(spec, host, interpreter).digest() for host in spec.hosts}
    running = {name: state.digest for name, state in seen.roles.items() if state.alive}
    tokens = {seen.tokens.get(name) for name in wanted}
    return running == wanted and len(tokens) == 1 and tokens != {""}


def _start_head(spec: DeploymentSpec, interpreter: str, seen: Seen, fresh_token: str) -> Plan:
    yield from _stop(spec, seen, "stop Ray: it is not as wanted")
    token = seen.tokens.get(spec.head.name) or fresh_token
    if lacking := [host.name for host in spec.hosts if seen.tokens.get(host.name) != token]:
        yield [Action(name, _write_token(spec, token), "write Ray's token (0600)") for name in lacking]
    yield [starting(spec.head.name, spec.root, ray.role(spec, spec.head, interpreter), "start Ray's head")]


def _join(spec: DeploymentSpec, interpreter: str) -> Plan:
    """The workers in the order of the file, one after the other."""
    for host in spec.workers:
        yield [starting(host.name, spec.root, ray.role(spec, host, interpreter), "join the cluster")]


def _stop(spec: DeploymentSpec, seen: Seen, why: str) -> Plan:
    """The server first, then every part of Ray that runs."""
    alive = [host for host in spec.hosts if host.name in seen.roles and seen.roles[host.name].alive]
    if seen.server.alive and (alive or spec.serve.backend == "ray"):
        server = vllm.role_name(spec)
        stop = agent.stop(spec.root, server)
        yield [Action(spec.head.name, stop, "stop vLLM: its Ray cluster ends", ends_service=True)]
    if alive:
        yield [Action(host.name, agent.stop(spec.root, ray.role_name(spec, host)), why) for host in alive]


def converge(site: Site) -> Outcome:
    """Start what is not as wanted, then hold the gate: every host and GPU there, and nobody else's work.

    Raises ServerDied, NotConverged, and SpecError before the server is stopped for arguments that the new vLLM refuses.
    Where the server does not use Ray there is none afterwards.
    """
    interpreter = python_env.python(site.spec, site.lock)
    seen = look(site)
    if ends_service(plan(site.spec, interpreter, seen, "")):
        serve.require_accepted(site)
    if site.spec.serve.backend != "ray":
        actions = act(site, plan(site.spec, interpreter, seen, ""))
        site.say(f"Ray is not used with backend {site.spec.serve.backend}")
        return Outcome(actions, {"backend": site.spec.serve.backend})
    if _as_wanted(site.spec, interpreter, seen):
        gate = Gate(site, interpreter, clusters.server_groups(site.spec) if seen.server.alive else 0, tries=0)
        return _outcome(site, 0, gate.hold())
    actions = act(site, _start_head(site.spec, interpreter, seen, secrets.token_hex(32)))
    gate = Gate(site, interpreter)
    gate.await_head()
    actions += act(site, _join(site.spec, interpreter))
    cluster = gate.hold()
    return _outcome(site, actions + gate.joined_again, cluster)


def _outcome(site: Site, actions: int, cluster: clusters.Cluster) -> Outcome:
    return Outcome(actions, {"address": ray.address(site.spec), "gpus": dict(cluster.gpus)})


class Gate:
    """The wait until Ray itself reports what the file asks for: ``ray.timeout_s`` for head and workers together.

    A worker that ends meanwhile joins again, ``tries`` times at most; ``joined_again`` counts that.
    """

    def __init__(self, site: Site, interpreter: str, own_groups: int = 0, *, tries: int = JOIN_TRIES) -> None:
        self._site, self._interpreter, self._own_groups = site, interpreter, own_groups
        self._deadline = time.monotonic() + site.spec.ray.timeout_s
        self._tries = {host.name: tries for host in site.spec.workers}
        self.joined_again = 0

    def await_head(self) -> None:
        """Until the head's Ray answers every worker: one that joins a head that is not there tries on for minutes."""
        workers = [self._site.hosts[host.name] for host in self._site.spec.workers]
        while True:
            _require_alive(self._site, self._site.spec.head)
            seen = on_each(workers, self._cluster)
            deaf = [f"{name} does not reach Ray's head: {told.error}" for name, told in seen.items() if told.error]
            if not deaf:
                return
            self._pause(deaf)

    def hold(self) -> clusters.Cluster:
        """Until the cluster is as wanted. Raises ServerDied at once for a part that died, NotConverged in the end."""
        while True:
            seen = self._cluster(self._site.head)
            missing = clusters.missing(self._site.spec, seen, self._own_groups)
            if not missing:
                told = ", ".join(f"{address} {gpus:g} GPUs" for address, gpus in seen.gpus.items())
                self._site.say(f"Ray at {ray.address(self._site.spec)}: {told}")
                return seen
            self._join_again()
            self._pause(missing)

    def _cluster(self, host: Host) -> clusters.Cluster:
        left_s = self._deadline - time.monotonic()
        return clusters.cluster(host, self._site.spec, self._interpreter, max(LEAST_ANSWER_S, min(20.0, left_s)))

    def _pause(self, lacks: list[str]) -> None:
        if time.monotonic() + LOOK_EVERY_S > self._deadline:
            raise NotConverged(
                f"Ray is not as wanted after {self._site.spec.ray.timeout_s} s: {'; '.join(lacks)}",
                hint="look at the agent's log of that host, its address and its firewall; a placement group that is "
                "not ours ends with the program that made it",
            )
        time.sleep(LOOK_EVERY_S)

    def _join_again(self) -> None:
        for host in self._site.spec.hosts:
            if not self._tries.get(host.name):
                _require_alive(self._site, host)
            elif not (state := _state(self._site, host)).alive:
                self._tries[host.name] -= 1
                why = f"join the cluster again, since Ray ended: {state.ended}"
                worker = ray.role(self._site.spec, host, self._interpreter)
                self.joined_again += act(self._site, [[starting(host.name, self._site.root, worker, why)]])


def require_alive(site: Site) -> None:
    """Raises ServerDied for the first host whose part of the cluster has ended."""
    if site.spec.serve.backend == "ray":
        for host in site.spec.hosts:
            _require_alive(site, host)


def _require_alive(site: Site, host: HostSpec) -> None:
    state = _state(site, host)
    if not state.alive:
        said = last_lines(site.hosts[host.name], site.root, state.role)
        hint = "mend what its last lines name, then clear the ray_cluster task: the cluster starts anew"
        raise ServerDied(f"[{host.name}] Ray ended: {state.ended}\n{said}", hint=hint)


def _state(site: Site, host: HostSpec) -> RoleState:
    return role(site.hosts[host.name], site.root, ray.role_name(site.spec, host))


def _token(site: Site, host: Host) -> str:
    return text_of(host, site.root, Layout(site.root).ray_token(site.spec.name), 4096).strip()


def _write_token(spec: DeploymentSpec, token: str) -> Command:
    return secret_file.write(spec.root, Layout(spec.root).ray_token(spec.name), token)
