"""The model store on a host: what is staged, and the job that stages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from slipway.commands import kit
from slipway.commands.agent import Role
from slipway.shell import Command
from slipway.spec import DeploymentSpec, HostSpec, Layout

STRIPE_PORT = 8
"""The port of the deployment's block at which hosts give each other what they have read of the source."""

PRUNE_S = 600
"""Removing a large file takes a file system seconds, not minutes."""


def look(spec: DeploymentSpec) -> Command:
    """What the source holds, what is staged of it, and what is wrong with it."""
    if spec.weights.repository:
        return kit.call(spec.root, "models", "look", _origin(spec))
    return kit.call(spec.root, "stage", "look", _folders(spec), timeout_s=120)


def copy(spec: DeploymentSpec, host: HostSpec | None = None, sharing: Sequence[HostSpec] = ()) -> Role:
    """The job that copies, checks on the way, and moves into place when whole. It knows itself what there is to do.

    Of several hosts ``sharing`` the source, ``host`` reads its share.
    """
    asked = _folders(spec) | _limit(spec)
    if host is not None and len(sharing) > 1:
        asked["stripe"] = {
            "own": sharing.index(host),
            "addresses": [each.address for each in sharing],
            "port": spec.ray.ports.block + STRIPE_PORT,
            "token_file": Layout(spec.root).stripe_token(spec.name),
        }
    return _job(spec, _program(spec, "stage", "copy", asked))


def download(spec: DeploymentSpec, fetch: Command) -> Role:
    """The job that has ``fetch`` download a repository's commit, then makes it a version of the store."""
    return _job(spec, fetch, _program(spec, "models", "adopt", _origin(spec)))


def fetching(spec: DeploymentSpec) -> bytes:
    """What the program ``fetch`` of the serving environment is asked. Raises ValueError for a folder."""
    weights = spec.weights
    if not weights.repository:
        raise ValueError(f"{weights.source} is no repository")
    repo, revision = weights.repository
    asked = {
        "repo": repo,
        "revision": revision,
        "folder": f"{_store(spec)}/.hub-{hashlib.sha256(weights.source.encode()).hexdigest()}",
        "endpoint": weights.hub_endpoint,
        "token_file": weights.token_file,
        "allow_pickle": list(weights.allow_pickle),
    }
    return json.dumps(asked, sort_keys=True).encode()


def versions(spec: DeploymentSpec) -> Command:
    """Every version in the host's model stores, and what uses it."""
    return kit.call(spec.root, "models", "list", _stores(spec), timeout_s=120)


def prune(spec: DeploymentSpec, serves: str, free_bytes: int | None = None) -> Command:
    """Remove versions that nothing uses, until so many bytes are free; all of them without a number.

    ``serves`` is the version that this deployment serves, on whichever of its hosts; empty where it serves none.
    """
    own = {"model": spec.weights.name, "keep": {spec.name: serves}}
    asked = _stores(spec) | own | {"free_bytes": free_bytes}
    return kit.call(spec.root, "models", "prune", asked, timeout_s=PRUNE_S)


def verify(spec: DeploymentSpec, path: str) -> Command:
    """Read a staged version again and compare it with its manifest."""
    return kit.call(spec.root, "stage", "verify", {"path": path}, timeout_s=spec.weights.timeout_s)


def code(spec: DeploymentSpec, path: str) -> Command:
    """The Python files of the model in a folder, with their digests."""
    return kit.call(spec.root, "stage", "code", {"path": path})


def manifest(spec: DeploymentSpec) -> Command:
    """Take the manifest of the source, where it has none, and keep it beside its files."""
    asked = {name: value for name, value in _folders(spec).items() if name != "store"} | _limit(spec)
    return kit.call(spec.root, "stage", "manifest", asked, timeout_s=spec.weights.timeout_s)


def measure(spec: DeploymentSpec, seconds: float) -> Command:
    """How fast the disk under the model store is written and read."""
    return kit.call(spec.root, "models", "measure", {"store": _store(spec), "seconds": seconds})


def warm(spec: DeploymentSpec, path: str) -> Command:
    """Bring a version into the page cache, where memory allows it."""
    return kit.call(spec.root, "models", "warm", {"path": path}, timeout_s=spec.weights.timeout_s)


def job_name(spec: DeploymentSpec) -> str:
    return f"weights.{spec.weights.name}"


def _store(spec: DeploymentSpec) -> str:
    return Layout(spec.root).models(spec.weights.name)


def _stores(spec: DeploymentSpec) -> dict[str, object]:
    return {"models": f"{spec.root}/models", "agents": Layout(spec.root).agents}


def _limit(spec: DeploymentSpec) -> dict[str, object]:
    limit = spec.weights.limit_bytes_per_s
    return {"limit_bytes_per_s": limit} if limit else {}


def _folders(spec: DeploymentSpec) -> dict[str, object]:
    return {"source": spec.weights.source, **_asked(spec)}


def _origin(spec: DeploymentSpec) -> dict[str, object]:
    return {"origin": spec.weights.source, **_asked(spec)}


def _asked(spec: DeploymentSpec) -> dict[str, object]:
    """Of the digest nothing where it is SHA-256, which a program takes by itself."""
    weights = spec.weights
    digest = {} if weights.digest == "sha256" else {"digest": weights.digest}
    return {"store": _store(spec), "allow_pickle": list(weights.allow_pickle), **digest}


def _job(spec: DeploymentSpec, *steps: Command) -> Role:
    return Role(name=job_name(spec), steps=steps, again=True)


def _program(spec: DeploymentSpec, program: str, verb: str, asked: dict[str, object]) -> Command:
    argv = ("python3", Layout(spec.root).kit(kit.digest()), program, verb)
    return Command(argv, stdin=json.dumps(asked, sort_keys=True).encode())
