"""Preflight's own steps: look at every host at the same time, judge, say the table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from slipway.commands import python_env
from slipway.errors import CommandFailed, CommandTimeout, HostError, HostUnfit
from slipway.facts import python_env as environments
from slipway.facts.machine import Links, links, machine, taken_ports
from slipway.facts.role import roles
from slipway.facts.weights import Reading, Weights, reading, staged
from slipway.hosts import Host, on_each_fit
from slipway.results.preflight import Check, State, checks_of, failed, told, unseen, verdict
from slipway.spec import DeploymentSpec, HostSpec, Layout
from slipway.stages.preflight import load_hosts
from slipway.stages.preflight.judge import judge
from slipway.stages.preflight.seen import Seen, ports
from slipway.stages.site import Outcome, Say, Site

CONNECTION = "connection"
"""The row of a host that could not be looked at."""


def converge(site: Site) -> Outcome:
    """Look at every host and keep the table; :func:`require_fit` raises for it. Nothing is changed on a host."""
    found, lost = on_each_fit(site.hosts.values(), lambda host: look(site, host))
    lost = {**site.out_of_reach, **lost}
    seen = [found[host.name] for host in site.spec.hosts if host.name in found]
    rows_of_lost = (unseen(name, CONNECTION, error) for name, error in lost.items())
    checks = [*judge(seen), *rows_of_lost, *load_hosts.look(site)]
    for line in told(checks):
        site.say(line)
    passing = bool(lost) and all(error.transient for error in lost.values())
    return Outcome(
        detail={
            "verdict": verdict(checks),
            "checks": [vars(check) for check in checks],
            "hosts": {each.host.name: dict(each.facts) for each in seen},
            "transient": passing and all(check.name == CONNECTION for check in failed(checks)),
        }
    )


def with_check(outcome: Outcome, check: Check, say: Say) -> Outcome:
    """The table with one more row, of a machine that is none of the hosts."""
    checks = [*checks_of(outcome.detail), check]
    for line in [verdict(checks), *list(told([check]))[1:]]:
        say(line)
    transient = bool(outcome.detail["transient"]) and check.state != State.FAIL
    rows = [vars(each) for each in checks]
    return replace(
        outcome, detail={**outcome.detail, "verdict": verdict(checks), "checks": rows, "transient": transient}
    )


def require_fit(detail: Mapping[str, Any]) -> None:
    """Raises HostUnfit, which names every check that failed; a retry helps where only connections were missing."""
    checks = failed(checks_of(detail))
    if not checks:
        return
    names = ", ".join(dict.fromkeys(check.host for check in checks))
    lines = "\n".join(f"  [{check.host}] {check.name}: {check.found}" for check in checks)
    hint = "; ".join(dict.fromkeys(check.next_step for check in checks))
    error = HostUnfit(names, f"not fit for this deployment:\n{lines}", hint=hint)
    error.transient = bool(detail.get("transient"))
    raise error


def look(site: Site, host: Host) -> Seen:
    """All that is to be known of one host."""
    spec = next(each for each in site.spec.hosts if each.name == host.name)
    began = time.time()
    facts = machine(host, site.root, paths=_places(site.spec), commands=_programs(site.spec))
    skew_s = max(0.0, began - facts["time"], facts["time"] - time.time())
    ours = frozenset(role.session for role in roles(host, site.root) if role.alive and _ours(site.spec, role.role))
    taken = taken_ports(host, site.root, ports(site.spec, spec))
    weights, sample, fault = _model(site.spec, host)
    return Seen(
        spec=site.spec,
        host=spec,
        facts=facts,
        links=_links(site.spec, spec, host),
        skew_s=skew_s,
        taken=[port for port in taken if port.session not in ours],
        has_environment=environments.present(host, python_env.python(site.spec, site.lock)),
        weights=weights,
        reading=sample,
        fault=fault,
        own_sessions=frozenset(session for session in ours if session is not None),
    )


def _model(spec: DeploymentSpec, host: Host) -> tuple[Weights | None, Reading | None, str]:
    """What is known of the model, and why no more: a storage that hangs must not hide the other checks."""
    weights = None
    try:
        weights = staged(host, spec)
        downloaded_later = spec.weights.repository and not weights.current
        if weights.problems or not weights.source_exists or downloaded_later:
            return weights, None, ""
        return weights, reading(host, spec, _loaded_from(spec, weights)), ""
    except CommandTimeout:
        return weights, None, "the storage does not answer: does its mount hang?"
    except CommandFailed:
        raise
    except HostError as error:
        return weights, None, str(error).splitlines()[0].removeprefix(f"[{host.name}] ")


def _loaded_from(spec: DeploymentSpec, weights: Weights) -> str:
    """The folder that will be read next: the staged copy where it is whole, else the source."""
    staged_copy = weights.path if spec.weights.stage and weights.current else None
    return staged_copy or spec.weights.source


def _links(spec: DeploymentSpec, own: HostSpec, host: Host) -> Links:
    others = [each for each in spec.hosts if each != own]
    peers = [{"name": each.name, "address": each.address, "port": spec.ray.ports.block} for each in others]
    return links(host, spec.root, own.address, peers)


def _places(spec: DeploymentSpec) -> Sequence[str]:
    return [spec.root, Layout(spec.root).models(spec.weights.name)]


def _programs(spec: DeploymentSpec) -> Sequence[str]:
    return [spec.environment.existing or spec.environment.python]


def _ours(spec: DeploymentSpec, role: str) -> bool:
    return role.startswith(f"{spec.name}.")
