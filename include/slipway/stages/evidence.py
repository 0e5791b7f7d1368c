"""Why a stage failed: what every host within reach can tell, and the cause that is seen in it. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slipway.diagnosis import Diagnosis, Source, diagnose
from slipway.errors import HostError
from slipway.facts.evidence import Bundle, bundle
from slipway.hosts import Host
from slipway.hosts.base import on_each_fit
from slipway.spec import DeploymentSpec
from slipway.stages import serve
from slipway.stages.site import Site

RAY = ("ray-head", "ray-worker")
"""Roles whose logs are Ray's."""

RAYS_OWN = ("ray/raylet.", "ray/gcs_server.")
"""Logs of Ray's core. Those of its dashboard and other helpers tell of harmless things, too."""

FULL_BYTES = 1 << 20
"""A disk with less room than that is full."""

NEEDS_SERVER = frozenset({"ready", "smoke", "liveness"})
"""Stages for which the server must run: how it ended is their failure, also where that was long ago."""


@dataclass(frozen=True)
class Evidence:
    """The bundles by host, and why other hosts gave none."""

    bundles: Mapping[str, Bundle]
    silent: Mapping[str, HostError]


def gather(site: Site, since: float) -> Evidence:
    """Ask every host at the same time; ``since`` (seconds since 1970) is when the run began."""
    places = {host.name: host for host in site.spec.hosts}

    def of(host: Host) -> Bundle:
        place = places[host.name]
        return bundle(host, site.spec, place, serve.variables(site.spec, place), since)

    given, silent = on_each_fit(site.hosts.values(), of)
    return Evidence(given, {**site.out_of_reach, **silent})


def explain(spec: DeploymentSpec, found: Evidence, stage: str, since: float, error: str) -> Diagnosis | None:
    """The cause, by the logs and by what the stage itself said; None where no signature is known.

    What had ended before ``since`` is no cause of a stage that starts it anew.
    """
    addresses = {host.address: host.name for host in spec.hosts}
    said = Source(spec.head.name, "vllm", "the stage's own words", error)
    earliest = 0.0 if stage in NEEDS_SERVER else since
    logs = [source for each in found.bundles.values() for source in sources(each, earliest)]
    return diagnose([*logs, said], addresses)


def sources(bundle: Bundle, since: float = 0.0) -> Iterator[Source]:
    """The logs among the files, of what runs or has ended after ``since``; not those of an earlier start."""
    ended = {f"{role['role']}.log" for role in json.loads(bundle.files.get("roles.json", "[]")) if _over(role, since)}
    for name, text in bundle.files.items():
        if name not in ended and (program := _program(name)):
            yield Source(bundle.host, program, name, text)
    if full := _full_disks(bundle):
        yield Source(bundle.host, "kernel", "disks.json", full)


def _full_disks(bundle: Bundle) -> str:
    """What the kernel answers to whoever writes there: a program that cannot write its log cannot say it."""
    disks = json.loads(bundle.files.get("disks.json", "{}"))
    full = {path: disk["free_bytes"] for path, disk in disks.items() if disk["free_bytes"] < FULL_BYTES}
    return "".join(f"{path}: No space left on device ({free} bytes are free)\n" for path, free in full.items())


def _over(role: Mapping[str, Any], since: float) -> bool:
    return not role["alive"] and (role["ended_at"] or since) < since


def _program(name: str) -> str:
    """Whose log it is; empty for what is searched for no cause. Workers of Ray's are vLLM's processes."""
    if name == "kernel.txt":
        return "kernel"
    if name.startswith("ray/"):
        return "ray" if name.startswith(RAYS_OWN) else "vllm" if name.startswith("ray/worker-") else ""
    role = name.removesuffix(".log").rsplit(".", 1)[-1] if name.endswith(".log") else ""
    return "ray" if role in RAY else "vllm" if role.startswith("vllm") else ""
