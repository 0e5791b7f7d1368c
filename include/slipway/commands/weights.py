"""The model store on a host: what is staged, and the job that stages."""

from __future__ import annotations

import json

from slipway.commands import kit
from slipway.commands.agent import Role
from slipway.shell import Command
from slipway.spec import DeploymentSpec, Layout


def _asked(spec: DeploymentSpec) -> dict[str, object]:
    """Source, store, and what the file allows in a model."""
    weights = spec.weights
    store = Layout(spec.root).models(weights.name)
    return {"source": weights.source, "store": store, "allow_pickle": list(weights.allow_pickle)}


def look(spec: DeploymentSpec) -> Command:
    """What the source holds, what is staged of it, and what is wrong with it."""
    return kit.call(spec.root, "stage", "look", _asked(spec), timeout_s=120)


def copy(spec: DeploymentSpec) -> Role:
    """The job that copies, checks on the way, and moves into place when whole. It knows itself what there is to do."""
    return _job(spec, f"weights.{spec.weights.name}", "copy", _asked(spec) | _limit(spec))


def _job(spec: DeploymentSpec, name: str, verb: str, asked: dict[str, object]) -> Role:
    argv = ("python3", Layout(spec.root).kit(kit.digest()), "stage", verb)
    return Role(name=name, steps=(Command(argv, stdin=json.dumps(asked, sort_keys=True).encode()),), again=True)


def _limit(spec: DeploymentSpec) -> dict[str, object]:
    return {"limit_bytes_per_s": spec.weights.limit_bytes_per_s} if spec.weights.limit_bytes_per_s else {}
