"""What must be the same for two runs to be compared, and what may explain a difference between those that are. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.spec import DeploymentSpec
from slipway.spec.changes import leaves
from slipway.store.revisions import LATER_FIELDS, WORKLOAD_FIELDS

SERVED = ("env", "environment", "ray", "serve", "root")
"""Parts of a deployment file that say how the model is served."""

NONE = "none"

SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL")
"""In the name of a variable: its value is not shown."""


@dataclass(frozen=True)
class Kind:
    """A run as far as it is compared: its revision, and what was found on its hosts."""

    spec: DeploymentSpec
    snapshot: Mapping[str, Any]


def hardware(spec: DeploymentSpec, hosts: Mapping[str, Mapping[str, Any]]) -> str:
    """The accelerators of a deployment's hosts, in words that are equal for equal ones.

    ``hosts`` is what preflight found, by name. In rehearsal the processors stand for them. With spare hosts it is not
    said which host has which: one side is compared with the other.
    """
    found = {host.address: _accelerators(hosts.get(host.name, {}), rehearsal=spec.rehearsal) for host in spec.hosts}
    if spec.beside:
        return "; ".join(sorted(found.values()))
    return "; ".join(f"{address}: {accelerators}" for address, accelerators in sorted(found.items()))


def _accelerators(facts: Mapping[str, Any], *, rehearsal: bool) -> str:
    if rehearsal:
        return f"{facts.get('cpus', 0)} x {facts.get('cpu_model', 'unknown CPU')}"
    counted = Counter(gpu["name"] for gpu in facts.get("gpus", ()))
    return " + ".join(f"{count} x {name}" for name, count in sorted(counted.items())) or NONE


def unlike(now: Kind, then: Kind) -> list[str]:
    """Why the two may not be compared, a few words each; empty where they may."""
    before, after = _fixed(then), _fixed(now)
    return [f"{name} {before[name]} then, {after[name]} now" for name in after if before[name] != after[name]]


def _fixed(kind: Kind) -> dict[str, str]:
    spec, benchmark = kind.spec, kind.spec.benchmark
    return {
        "rehearsal": str(spec.rehearsal).lower(),
        "hosts": ", ".join(_hosts(spec)),
        "accelerator": kind.snapshot.get("hardware") or "unknown",
        "model": spec.weights.name,
        **{f"benchmark.{name}": str(getattr(benchmark, name)) for name in (*WORKLOAD_FIELDS, *LATER_FIELDS)},
    }


def _hosts(spec: DeploymentSpec) -> list[str]:
    """In the file's order; with spare hosts those of both sides, in one that is the same from either."""
    named = [f"{host.address} ({host.gpus} GPUs)" for host in spec.machines]
    return sorted(named) if spec.beside else named


def changed(now: Kind, history: Sequence[Kind]) -> list[str]:
    """What is not as it mostly was in the history, as ``vllm 0.32.0 -> 0.33.0``: versions, drivers, arguments."""
    if not history:
        return []
    after = _explaining(now)
    before = [_explaining(kind) for kind in history]
    keys = sorted({key for each in (after, *before) for key in each})
    found = ((key, _usual([each.get(key, NONE) for each in before]), after.get(key, NONE)) for key in keys)
    return [_change(key, usual, value) for key, usual, value in found if usual != value]


def _change(key: str, usual: str, value: str) -> str:
    return f"{key} changed" if SECRET.search(key) else f"{key} {usual} -> {value}"


def _usual(values: Sequence[str]) -> str:
    """The most frequent one; of equally frequent ones the first."""
    return Counter(values).most_common(1)[0][0]


def _explaining(kind: Kind) -> dict[str, str]:
    snapshot, data = kind.snapshot, kind.spec.model_dump(mode="json")
    found = {name: str(value) for name, value in snapshot.get("versions", {}).items()}
    served = leaves({part: data[part] for part in SERVED})
    found |= {key: str(value) for key, value in served if value != {}}
    if digest := snapshot.get("model", {}).get("digest"):
        found["weights"] = str(digest)[:12]
    for name, facts in snapshot.get("hosts", {}).items():
        drivers = {str(gpu.get("driver_version")) for gpu in facts.get("gpus", ())}
        found |= {f"{name}: driver": ", ".join(sorted(drivers))} if drivers else {}
        found[f"{name}: kernel"] = str(facts.get("kernel", NONE))
    return found
