"""Stage *traffic*: the router sends clients to this revision's server and to no other; then the old one may end.

It works on the machine of the router: ``site`` is of that one alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.commands import agent, kit, probe, router
from slipway.errors import NotConverged, ServerDied, StageError
from slipway.facts.files import text_of
from slipway.facts.machine import taken_ports
from slipway.facts.role import RoleState, last_lines, role
from slipway.facts.vllm import metrics_text
from slipway.results.preflight import Check, State
from slipway.results.prometheus import GAUGES, reading
from slipway.shell import Command
from slipway.spec import DeploymentSpec
from slipway.spec.beside import RouterSpec
from slipway.stages.site import Action, Outcome, Plan, Site, act, starting

READY_S = 60.0
"""How long the router may take until it listens: it looks first whether the server behind it answers."""

LOOK_EVERY_S = 1.0

IDLE_LOOKS = 3
"""How many looks in a row must find no request before a server counts as drained: one may just be on its way."""


@dataclass(frozen=True)
class Seen:
    """The router's role, and the text of the file that names the servers it is started with."""

    state: RoleState
    file: str


def look(site: Site) -> Seen:
    file = text_of(site.head, site.root, router.servers_file(site.spec))
    return Seen(role(site.head, site.root, router.role_name(site.spec)), file)


def plan(spec: DeploymentSpec, server: str, seen: Seen) -> Plan:
    """The file first, then the router where it does not run as wanted."""
    host, wanted = spec.head.name, router.role(spec, router_of(spec))
    if seen.file != router.servers_text([server]):
        yield [Action(host, router.write_servers(spec, [server]), f"the router is to send to {server}")]
    if seen.state.alive and seen.state.digest == wanted.digest():
        return
    if seen.state.alive:
        yield [Action(host, agent.stop(spec.root, seen.state.role), "stop the router: it is not as wanted")]
    yield [starting(host, spec.root, wanted, "start the router")]


def moves(spec: DeploymentSpec, server: str, servers: Sequence[str]) -> Plan:
    """The new server is added before any other is taken away: in between both answer."""
    host, door = spec.head.name, router_of(spec)
    if server not in servers:
        yield [Action(host, _asking(spec, router.add(door, server)), f"the router sends to {server} too")]
    for other in servers:
        if other != server:
            yield [Action(host, _asking(spec, router.remove(door, other)), f"the router sends nothing to {other} now")]


def converge(site: Site, server: str) -> Outcome:
    """Have the router send to ``server``, a base URL, alone. Raises ServerDied where the router does not start, and
    NotConverged where it sends elsewhere."""
    actions = act(site, plan(site.spec, server, look(site)))
    _await_ready(site)
    actions += act(site, moves(site.spec, server, servers(site)))
    sent_to = servers(site)
    if sent_to != (server,):
        raise NotConverged(
            f"[{site.head.name}] the router sends to {', '.join(sent_to) or 'no server'}, wanted is {server}",
            hint="can that server be reached from the router's machine? the router's log says what it met",
        )
    site.say(f"the router at {router_of(site.spec).url} sends to {server}")
    return Outcome(actions, {"endpoint": router_of(site.spec).url, "server": server})


def router_of(spec: DeploymentSpec) -> RouterSpec:
    """Raises StageError for a deployment without one."""
    if spec.beside is None:
        raise StageError(f"{spec.name} has no router", hint="it goes with `redeploy.swap: beside`")
    return spec.beside.router


def fit(site: Site) -> Check:
    """Preflight's row of the router: its environment is there, and its ports are free or its own."""
    name, door = site.spec.head.name, router_of(site.spec)
    if error := site.out_of_reach.get(name):
        return Check(name, "router", State.FAIL, str(error).splitlines()[0], error.hint)
    imported = site.head.run(Command((door.python, "-c", "import vllm_router_rs, vllm_router.launch_router")))
    if not imported.ok:
        found = f"{door.python} has no vllm-router: {imported.last_lines(1)}"
        return Check(name, "router", State.FAIL, found, "make its environment from include/environments/router.txt")
    taken = [] if look(site).state.alive else taken_ports(site.head, site.root, router.role(site.spec, door).ports)
    if taken:
        held = "; ".join(f"{each.port} is held by {each.owner}" for each in taken)
        return Check(name, "router", State.FAIL, held, "end that process, or move beside.router.port")
    return Check(name, "router", State.OK, f"vllm-router by {door.python}, {door.url}")


def servers(site: Site) -> tuple[str, ...]:
    """The base URLs that the router sends to now."""
    request = router.listed(router_of(site.spec))
    answer = _answer(site, request)
    if answer.get("status") != 200:
        said = answer.get("detail") or answer.get("body")
        raise NotConverged(f"[{site.head.name}] {request['url']}: {said}", hint="look at the router's log")
    return tuple(json.loads(answer["body"])["urls"])


def drained(site: Site, within_s: float) -> Mapping[str, Any]:
    """Wait until the server of ``site`` has no request any more, ``within_s`` at most; answers how long that took, and
    how many were left. A server that tells nothing has none."""
    began, idle = time.monotonic(), 0
    while True:
        now = reading(metrics_text(site.head, site.spec))
        left = sum(now.get(name, 0.0) for name in GAUGES)
        idle = 0 if left else idle + 1
        seconds = time.monotonic() - began
        if idle == IDLE_LOOKS or seconds > within_s:
            site.say(f"[{site.head.name}] the old server has {left:g} requests left after {seconds:.1f} s")
            return {"drained_s": round(seconds, 1), "left": int(left)}
        time.sleep(LOOK_EVERY_S)


def stop(site: Site) -> int:
    """Stop the router, where it runs; answers how many commands acted."""
    state, host = look(site).state, site.head.name
    if state.state == "absent":
        return 0
    stopping = [[Action(host, agent.stop(site.root, state.role), "stop the router")]] if state.alive else []
    return act(site, [*stopping, [Action(host, agent.forget(site.root, state.role), "forget the router")]])


def _await_ready(site: Site) -> None:
    deadline = time.monotonic() + READY_S
    name = router.role_name(site.spec)
    while (state := role(site.head, site.root, name)).ready_at is None or not state.alive:
        if not state.alive or time.monotonic() > deadline:
            ended = f"ended: {state.ended}" if not state.alive else f"does not listen after {READY_S:g} s"
            said = last_lines(site.head, site.root, name)
            hint = "does `beside.router.python` have vllm-router, as include/environments/router.txt pins it?"
            raise ServerDied(f"[{site.head.name}] the router {ended}\n{said}", hint=hint)
        time.sleep(LOOK_EVERY_S)


def _asking(spec: DeploymentSpec, request: Mapping[str, object]) -> Command:
    return probe.http(spec.root, [request], timeout_s=float(str(request["timeout_s"])) + 30)


def _answer(site: Site, request: Mapping[str, object]) -> Mapping[str, Any]:
    [answer] = kit.reply(site.head.run(_asking(site.spec, request)))["responses"]
    return dict(answer)
