"""Stage *teardown*: nothing of the deployment runs any more, and that is proved."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.commands import agent, kit, ray, vllm
from slipway.errors import NotConverged
from slipway.facts.machine import taken_ports
from slipway.facts.role import RoleState, roles
from slipway.hosts import Host, on_each
from slipway.spec import DeploymentSpec, Layout
from slipway.stages.site import Action, Outcome, Plan, Say, Site, act, prepare

Seen = Mapping[str, Mapping[str, RoleState]]


def look(site: Site) -> Seen:
    """By host: the deployment's own roles."""
    own = {vllm.role_name(site.spec), *(ray.role_name(site.spec, host) for host in site.spec.hosts)}
    found = on_each(site.hosts.values(), lambda host: roles(host, site.root))
    return {name: {state.role: state for state in states if state.role in own} for name, states in found.items()}


def plan(spec: DeploymentSpec, seen: Seen) -> Plan:
    """The server first, then Ray's workers, then its head; then what they left on disk."""
    in_order = [
        {spec.head.name: vllm.role_name(spec)},
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
    """Stop everything of the deployment and prove it. Raises NotConverged when something is left."""
    actions = act(site, plan(site.spec, look(site)))
    _prove(site)
    return Outcome(actions, {"left": []})


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
    """No role is left, and every port of the deployment is free."""
    left = [f"{host}: {role}" for host, states in look(site).items() for role in states]
    for host in site.spec.hosts:
        ports = [*ray.ports(site.spec, host), *([site.spec.serve.port] if host == site.spec.head else [])]
        taken = taken_ports(site.hosts[host.name], site.root, ports)
        left += [f"{host.name}: port {port.port} is held by {port.owner}" for port in taken]
        free = len(ports) - len(taken)
        site.say(f"[{host.name}] no role of {site.spec.name} is left, {free} of {len(ports)} ports are free")
    if left:
        raise NotConverged("something is left: " + "; ".join(left), hint="clear the task to stop it again")
