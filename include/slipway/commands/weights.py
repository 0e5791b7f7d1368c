"""The model store on a host: what is staged, and the job that stages."""

from __future__ import annotations

import json

from slipway.commands import kit
from slipway.commands.agent import Role
from slipway.shell import Command
from slipway.spec import DeploymentSpec, Layout


def _places(spec: DeploymentSpec) -> dict[str, object]:
    return {"source": spec.weights.source, "store": Layout(spec.root).models(spec.weights.name)}


def look(spec: DeploymentSpec) -> Command:
    """What the source holds, what is staged of it, and what is wrong with it."""
    return kit.call(spec.root, "stage", "look", _places(spec), timeout_s=120)


def copy(spec: DeploymentSpec) -> Role:
    """The job that copies, checks on the way, and moves into place when whole. It knows itself what there is to do."""
    call = Command(
        ("python3", Layout(spec.root).kit(kit.digest()), "stage", "copy"),
        stdin=json.dumps(_places(spec), sort_keys=True).encode(),
    )
    return Role(name=f"weights.{spec.weights.name}", steps=(call,), again=True)
