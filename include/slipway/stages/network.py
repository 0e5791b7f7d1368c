"""Stage *network*: before anything is served, the very ranks speak to each other, and what that reaches is kept.

It changes nothing on the hosts. Where the server runs already it is left in peace, and the last figure stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.commands import collective, python_env, vllm
from slipway.errors import HostError, HostUnfit, NotConverged, SlipwayError
from slipway.facts.role import role
from slipway.hosts import Host, on_each
from slipway.results import network
from slipway.shell import Command, Result
from slipway.spec import DeploymentSpec, HostSpec
from slipway.stages import serve
from slipway.stages.site import Action, Outcome, Plan, Site

PHASES = {
    "meet": "did not arrive at {place}",
    "join": "did not come through the first collective",
    "done": "did not come to the end of the measurement",
}
"""By phase: what is to be said of the ranks that have not come so far, if all were in the phase before."""


@dataclass(frozen=True)
class Said:
    """What one host said of its ranks; ``error`` where it said nothing."""

    host: str
    ranks: Sequence[Mapping[str, Any]] = ()
    error: str = ""


def converge(site: Site) -> Outcome:
    """Prove it where there is something to prove. Raises HostUnfit for a rank that fails, NotConverged for a hang."""
    if reason := needless(site.spec):
        site.say(f"no network proof: {reason}")
        return Outcome(detail={"skipped": reason})
    if running := _running(site):
        reason = f"the server runs on {', '.join(running)} and is left in peace"
        site.say(f"no network proof: {reason}, the last figure stays")
        return Outcome(detail={"kept": reason})
    figure = prove(site)
    site.say(network.told(figure.data()))
    return Outcome(detail=figure.data())


def needless(spec: DeploymentSpec) -> str:
    """Why there is nothing to prove; one GPU alone still proves that NCCL works on it."""
    if spec.gpus == 0:
        return "no host gives a GPU"
    return "there is one rank only, and no GPU" if spec.rehearsal and spec.gpus == 1 else ""


def plan(spec: DeploymentSpec, interpreter: str, seconds: float = collective.SECONDS) -> Plan:
    """One round: on every host its ranks, which wait for each other. ``seconds`` bound the collective."""
    if needless(spec):
        return
    takers = [host for host in spec.hosts if host.gpus]
    firsts = {host.name: collective.first_rank(spec, host) for host in takers}
    ranks = {host.name: ", ".join(str(firsts[host.name] + local) for local in range(host.gpus)) for host in takers}
    parts = {host.name: _part(spec, host, interpreter, seconds) for host in takers}
    yield [Action(name, part, f"prove the network, rank {ranks[name]}") for name, part in parts.items()]


def _part(spec: DeploymentSpec, host: HostSpec, interpreter: str, seconds: float) -> Command:
    """The ranks of one host, with the variables that the server's workers have there."""
    return python_env.program(
        interpreter,
        "collective",
        stdin=collective.request(spec, host, vllm.meeting_port(spec), seconds),
        env=dict(serve.variables(spec, host)),
        timeout_s=seconds + collective.ANSWERING_S,
    )


def prove(site: Site, seconds: float = collective.SECONDS) -> network.NetworkFigure:
    """The collective over all hosts at the same time. Raises as ``converge`` does."""
    spec = site.spec
    [actions] = plan(spec, python_env.python(spec, site.lock), seconds)
    parts = {action.host: action.command for action in actions}
    said = on_each([site.hosts[name] for name in parts], lambda host: _ask(host, parts[host.name]), at_once=len(parts))
    require_whole(spec, list(said.values()), seconds)
    ranks = [rank for part in said.values() for rank in part.ranks]
    return network.figure(collective.backend(spec), ranks, collective.SMALL_BYTES, collective.large_bytes(spec))


def parse_said(result: Result) -> Said:
    """From the program's answer; of a program that gave none, what it said last."""
    try:
        return Said(result.host, json.loads(result.stdout.strip().splitlines()[-1])["ranks"])
    except (ValueError, IndexError, KeyError, TypeError):
        return Said(result.host, error=f"[{result.host}] no answer: {result.last_lines(4)}")


def _ask(host: Host, command: Command) -> Said:
    """One host that is lost must not hide what the others say."""
    try:
        return parse_said(host.run(command))
    except HostError as error:
        return Said(host.name, error=str(error))


def require_whole(spec: DeploymentSpec, said: Sequence[Said], seconds: float = collective.SECONDS) -> None:
    """Every rank came to its end, or the error that says who did not, where, and what to look at."""
    ranks = [rank for part in said for rank in part.ranks]
    if len(ranks) == spec.gpus and all(rank["phase"] == "done" for rank in ranks):
        return
    if own := _own_failure(said):
        raise own
    raise _hang(spec, said, seconds)


def _own_failure(said: Sequence[Said]) -> SlipwayError | None:
    """The rank that failed by itself, the first by its own clock: what others met is its consequence."""
    failed = [(rank.get("after_s", 0.0), part.host, rank) for part in said for rank in part.ranks if rank["error"]]
    failed = [each for each in failed if each[2]["phase"] != "arrive" or each[2]["rank"] == 0]
    if not failed:
        return None
    _, host, rank = min(failed, key=lambda each: (each[0], each[2]["rank"]))
    text = f"rank {rank['rank']} failed in phase {rank['phase']}: {rank['error']}\n{rank.get('output', '')}".rstrip()
    return HostUnfit(host, text, hint=f"mend what it names; of variables, look at {_variables()} of this host")


def _hang(spec: DeploymentSpec, said: Sequence[Said], seconds: float) -> NotConverged:
    """From the account of rank 0, which holds the store; without it, from what each host said."""
    place = f"{spec.head.address}:{vllm.meeting_port(spec)}"
    phase, missing = _missing(spec, said)
    what = PHASES[phase].format(place=place)
    absent = "; ".join(_by_host(spec, missing))
    lines = [f"network: {len(missing)} of {spec.gpus} ranks {what} within {seconds:g} s: {absent}"]
    lines += [part.error for part in said if part.error]
    absentees = [(part.host, rank) for part in said for rank in part.ranks if rank["rank"] in missing]
    lines += [f"[{host}] rank {r['rank']}: {r['error'] or 'stuck in phase ' + r['phase']}" for host, r in absentees]
    if phase == "meet":
        hint = f"can these hosts open a TCP connection to {place}? Look at the firewall and at `address` of each host"
    else:
        hint = f"look at {_variables()} on each host, and whether a firewall stands between the hosts"
    return NotConverged("\n".join(lines), hint=hint)


def _missing(spec: DeploymentSpec, said: Sequence[Said]) -> tuple[str, list[int]]:
    """The first phase that some ranks have not reached, with these ranks."""
    ranks = {rank["rank"]: rank for part in said for rank in part.ranks}
    account = ranks.get(0, {}).get("missing", {})
    for phase in PHASES:
        if missing := list(account.get(phase, ())):
            return phase, missing
    return "meet", [rank for rank in range(spec.gpus) if rank not in ranks or ranks[rank]["phase"] != "done"]


def _by_host(spec: DeploymentSpec, ranks: Sequence[int]) -> Iterator[str]:
    for host in spec.hosts:
        first = collective.first_rank(spec, host)
        own = [str(rank) for rank in ranks if first <= rank < first + host.gpus]
        if own:
            yield f"[{host.name}] {host.address}: rank {', '.join(own)}"


def _variables() -> str:
    return "NCCL_SOCKET_IFNAME, NCCL_IB_HCA, GLOO_SOCKET_IFNAME"


def _running(site: Site) -> list[str]:
    """The hosts on which a part of the server is alive."""
    parts = {host.name: vllm.role_name(site.spec, host) for host in vllm.hosts(site.spec)}
    states = on_each([site.hosts[name] for name in parts], lambda host: role(host, site.root, parts[host.name]))
    return [name for name, state in states.items() if state.alive]
