"""Stage *teardown*: nothing of the deployment runs any more, and that is proved."""

from __future__ import annotations

import time
from collections.abc import Mapping

from slipway.commands import agent, kit, ray, vllm
from slipway.errors import NotConverged
from slipway.facts.machine import gpu_memory, taken_ports
from slipway.facts.role import RoleState, roles
from slipway.hosts import Host, on_each
from slipway.spec import DeploymentSpec, HostSpec, Layout
from slipway.stages import api_key
from slipway.stages.api_key import NO_KEY
from slipway.stages.site import Action, Outcome, Plan, Say, Site, act, prepare

GPU_FLOOR_BYTES = 1 << 30
"""What a GPU may hold with nothing of ours on it: the driver's own, and what it does not tell."""

GPU_WAIT_S = 30.0
LOOK_EVERY_S = 2.0

Seen = Mapping[str, Mapping[str, RoleState]]


def look(site: Site) -> Seen:
    """By host: the deployment's own roles."""
    own = {name(site.spec, host) for host in site.spec.hosts for name in (vllm.role_name, ray.role_name)}
    found = on_each(site.hosts.values(), lambda host: roles(host, site.root))
    return {name: {state.role: state for state in states if state.role in own} for name, states in found.items()}


def plan(spec: DeploymentSpec, seen: Seen) -> Plan:
    """The server, its head before its other parts; Ray's workers, then its head; then what they left on disk."""
    in_order = [
        {spec.head.name: vllm.role_name(spec)},
        {host.name: vllm.role_name(spec, host) for host in spec.workers},
        {host.name: ray.role_name(spec, host) for host in spec.workers},
        {spec.head.name: ray.role_name(spec, spec.head)},
    ]
    for names in in_order:
        left = {host: name for host, name in names.items() if name in seen.get(host, {})}
        if running := [host for host, name in left.items() if seen[host][name].alive or seen[host][name].orphans]:
            yield [Action(host, agent.stop(spec.root, left[host]), f"stop {left[host]}") for host in running]
        if left:
            yield [Action(host, agent.forget(spec.root, name), f"forget {name}") for host, name in left.items()]
    if started := [host.name for host in spec.hosts if ray.role_name(spec, host) in seen.get(host.name, {})]:
        temp_dir = spec.ray.temp_dir or Layout(spec.root).ray_temp_dir(spec.name)
        request = {"path": temp_dir, "below": temp_dir.rsplit("/", 1)[0]}
        remove = kit.call(spec.root, "files", "remove", request)
        yield [Action(host, remove, "remove Ray's own session folder") for host in started]


def converge(site: Site) -> Outcome:
    """Stop everything of the deployment and prove it. Raises NotConverged when something is left.

    Hosts that are out of reach are in the outcome, for :func:`require_reached`.
    """
    for error in site.out_of_reach.values():
        site.say(f"goes on without {error}")
    actions = act(site, plan(site.spec, look(site)))
    if site.spec.head.name in site.hosts and not api_key.gone(site):
        actions += act(site, [[api_key.put(site.spec, NO_KEY)]])
    _prove(site)
    not_reached = {name: str(error) for name, error in site.out_of_reach.items()}
    return Outcome(actions, {"left": [], "stopped": sorted(site.hosts), "not_reached": not_reached})


def require_reached(outcome: Outcome) -> None:
    """Raises NotConverged with the hosts that were out of reach: what runs there was not stopped."""
    missed = outcome.detail["not_reached"]
    if missed:
        stopped = ", ".join(outcome.detail["stopped"]) or "no host"
        raise NotConverged(
            f"stopped on {stopped}, but not on {', '.join(missed)}:\n" + "\n".join(missed.values()),
            hint="clear the task when that host is back; what runs there goes on until then",
        )


def together(one: Outcome, other: Outcome) -> Outcome:
    """What two teardowns came to, as one."""
    stopped = sorted({*one.detail["stopped"], *other.detail["stopped"]})
    not_reached = {**one.detail["not_reached"], **other.detail["not_reached"]}
    return Outcome(one.actions + other.actions, {"left": [], "stopped": stopped, "not_reached": not_reached})


def stop_all(host: Host, root: str, say: Say) -> None:
    """Stop every role that the agents keep below ``root``: jobs that are under way, too. Raises NotConverged."""
    prepare(host, root)
    for state in roles(host, root):
        if state.alive or state.orphans:
            say(f"[{host.name}] stop {state.role}")
            kit.reply(host.run(agent.stop(root, state.role)))
    left = [state.role for state in roles(host, root) if state.alive or state.orphans]
    if left:
        raise NotConverged(f"[{host.name}] still alive: {', '.join(left)}", hint="do it again")


def _prove(site: Site) -> None:
    """No role is left, every port of the deployment is free, and the GPUs have their memory back."""
    left = [f"{host}: {role}" for host, states in look(site).items() for role in states]
    for host in _within_reach(site):
        ports = [*ray.ports(site.spec, host), *vllm.ports(site.spec, host)]
        taken = taken_ports(site.hosts[host.name], site.root, ports)
        left += [f"{host.name}: port {port.port} is held by {port.owner}" for port in taken]
        free = len(ports) - len(taken)
        site.say(f"[{host.name}] no role of {site.spec.name} is left, {free} of {len(ports)} ports are free")
    left += _gpu_memory_left(site)
    if left:
        raise NotConverged("something is left: " + "; ".join(left), hint="clear the task to stop it again")


def _gpu_memory_left(site: Site) -> list[str]:
    """GPUs that do not have their memory back within 30 seconds. In rehearsal there are none to ask."""
    hosts = [site.hosts[host.name] for host in _within_reach(site) if host.gpus and not site.spec.rehearsal]
    deadline = time.monotonic() + GPU_WAIT_S
    seen = on_each(hosts, lambda host: gpu_memory(host, site.root))
    while (left := _above_floor(seen)) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        seen = on_each(hosts, lambda host: gpu_memory(host, site.root))
    for name, gpus in seen.items():
        used = ", ".join(f"{index}: {_gib(in_use)}" for index, in_use in gpus.items())
        site.say(f"[{name}] GPU memory in use, beside what living processes hold: {used or 'no GPU is there'}")
    return left


def _above_floor(seen: Mapping[str, Mapping[int, int | None]]) -> list[str]:
    return [
        f"{name}: GPU {index} holds {_gib(used)} that no process there accounts for"
        for name, gpus in seen.items()
        for index, used in gpus.items()
        if used is not None and used > GPU_FLOOR_BYTES
    ]


def _gib(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / (1 << 30):.1f} GiB"


def _within_reach(site: Site) -> list[HostSpec]:
    return [host for host in site.spec.hosts if host.name in site.hosts]
