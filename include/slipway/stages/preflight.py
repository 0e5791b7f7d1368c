"""Stage *preflight*: what would fail later is found now, and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.commands import ray
from slipway.errors import HostUnfit
from slipway.facts.machine import TakenPort, machine, taken_ports
from slipway.facts.role import roles
from slipway.hosts import Host, on_each
from slipway.spec import DeploymentSpec, HostSpec
from slipway.stages.site import Outcome, Site

LEAST_FREE_BYTES = 5 << 30
"""Free space below `root` that an environment needs."""


@dataclass(frozen=True)
class Check:
    """One row of the preflight table."""

    host: str
    name: str
    passed: bool
    found: str
    next_step: str = ""


def converge(site: Site) -> Outcome:
    """Look at every host; changes nothing. Raises HostUnfit, which lists all failed checks."""
    found = on_each(site.hosts.values(), lambda host: look(site, host))
    checks = [check for host in site.spec.hosts for check in judge(site.spec, host, *found[host.name])]
    for check in checks:
        site.say(f"[{check.host}] {'ok  ' if check.passed else 'FAIL'} {check.name}: {check.found}")
    failed = [check for check in checks if not check.passed]
    if failed:
        raise HostUnfit(
            ", ".join(sorted({check.host for check in failed})),
            "not fit for this deployment:\n" + "\n".join(f"  {c.name}: {c.found}" for c in failed),
            hint="; ".join(dict.fromkeys(check.next_step for check in failed)),
        )
    return Outcome(
        0, {"checks": [vars(check) for check in checks], "hosts": {n: facts for n, (facts, _) in found.items()}}
    )


def look(site: Site, host: Host) -> tuple[Mapping[str, Any], Sequence[TakenPort]]:
    """The machine, and those of the deployment's ports that somebody else holds."""
    spec = next(each for each in site.spec.hosts if each.name == host.name)
    facts = machine(host, site.root, paths=[site.root], commands=[site.spec.environment.python])
    own = {role.session for role in roles(host, site.root) if role.alive and _ours(site.spec, role.role)}
    taken = taken_ports(host, site.root, _ports(site.spec, spec))
    return facts, [port for port in taken if port.session not in own]


def judge(spec: DeploymentSpec, host: HostSpec, facts: Mapping[str, Any], taken: Sequence[TakenPort]) -> list[Check]:
    """The table's rows for one host. Pure."""
    return [
        _interpreter(spec, host, facts),
        _disk(spec, host, facts),
        _gpus(spec, host, facts),
        _ports_free(spec, host, taken),
    ]


def _ours(spec: DeploymentSpec, role: str) -> bool:
    return role.startswith(f"{spec.name}.")


def _ports(spec: DeploymentSpec, host: HostSpec) -> list[int]:
    serving = [spec.serve.port] if host == spec.head else []
    return [*ray.ports(spec, host), *serving]


def _interpreter(spec: DeploymentSpec, host: HostSpec, facts: Mapping[str, Any]) -> Check:
    if spec.environment.existing:
        return Check(host.name, "python", True, f"serves with {spec.environment.existing}")
    wanted = spec.environment.python
    found = facts["commands"].get(wanted)
    if not found:
        return Check(
            host.name,
            "python",
            False,
            f"{wanted} is not there",
            f"install {wanted} with its venv module, or set environment.python",
        )
    return Check(host.name, "python", True, f"{found['path']} ({found['version']})")


def _disk(spec: DeploymentSpec, host: HostSpec, facts: Mapping[str, Any]) -> Check:
    disk = facts["disks"][spec.root]
    free = f"{disk['free_bytes'] / 2**30:.0f} GiB free below {spec.root}"
    if not disk["writable"]:
        return Check(host.name, "disk", False, f"{spec.root} is not writable", "give this user the folder, or set root")
    enough = disk["free_bytes"] >= LEAST_FREE_BYTES
    return Check(host.name, "disk", enough, free, "" if enough else "free space there, or set root")


def _gpus(spec: DeploymentSpec, host: HostSpec, facts: Mapping[str, Any]) -> Check:
    gpus = facts["gpus"]
    if spec.rehearsal:
        return Check(
            host.name,
            "gpus",
            True,
            f"rehearsal on {facts['cpus']} CPUs, {facts['memory']['available_bytes'] / 2**30:.0f} GiB free",
        )
    if len(gpus) < host.gpus:
        return Check(
            host.name,
            "gpus",
            False,
            f"{len(gpus)} GPUs, the file says {host.gpus}",
            "look at nvidia-smi there, or set gpus",
        )
    return Check(
        host.name,
        "gpus",
        True,
        f"{len(gpus)} x {gpus[0]['name']}, driver {gpus[0]['driver_version']}" if gpus else "none asked for",
    )


def _ports_free(spec: DeploymentSpec, host: HostSpec, taken: Sequence[TakenPort]) -> Check:
    if not taken:
        return Check(host.name, "ports", True, f"{len(_ports(spec, host))} free or our own")
    told = "; ".join(f"{port.port} is held by {port.owner}" for port in taken)
    fields = {_field(spec, port.port) for port in taken}
    return Check(
        host.name, "ports", False, told, f"end that process, or move {', '.join(sorted(fields))} in the deployment file"
    )


def _field(spec: DeploymentSpec, port: int) -> str:
    own = spec.ray.ports
    return {spec.serve.port: "serve.port", own.gcs: "ray.ports.gcs", own.dashboard: "ray.ports.dashboard"}.get(
        port, "ray.ports.block"
    )
