"""The model on a host: what the source holds, and what of it is staged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.commands import kit, probe, weights
from slipway.hosts import Host
from slipway.spec import DeploymentSpec

SAMPLE_S = 2.0
SAMPLE_BYTES = 256 << 20


@dataclass(frozen=True)
class Weights:
    """``current`` says that the staged copy is whole and made from the source as it is now; ``path`` is that copy.

    ``took`` are seconds and bytes of the copy that made it; ``source_digest`` is that of a manifest beside the source.
    """

    source_exists: bool
    bytes: int
    current: bool
    path: str | None
    digest: str | None
    problems: tuple[str, ...]
    took: Mapping[str, Any] = field(default_factory=dict)
    source_digest: str | None = None
    free_bytes: int = 0
    needed_bytes: int = 0
    """The room that staging still takes."""


def parse_weights(data: Mapping[str, Any]) -> Weights:
    staged = data.get("staged") or {}
    return Weights(
        source_exists=data["source_exists"],
        bytes=data.get("bytes", 0),
        current=data.get("current", False),
        path=staged.get("path"),
        digest=staged.get("digest"),
        problems=tuple(data.get("problems", ())),
        took=staged.get("took", {}),
        source_digest=data.get("source_digest"),
        free_bytes=data.get("free_bytes", 0),
        needed_bytes=data.get("needed_bytes", 0),
    )


@dataclass(frozen=True)
class Reading:
    """A sample of a storage: ``bytes`` read in ``seconds``; ``direct`` where the page cache had no part in it."""

    bytes: int
    seconds: float
    direct: bool

    @property
    def bytes_per_s(self) -> float | None:
        """None where there was too little to read."""
        return self.bytes / self.seconds if self.bytes else None


def reading(host: Host, spec: DeploymentSpec, folder: str) -> Reading:
    """Read a short sample of a model's folder: 256 MiB and 2 seconds at most, and never more than a quarter."""
    asked = probe.reading(spec.root, folder, seconds=SAMPLE_S, limit_bytes=SAMPLE_BYTES)
    return Reading(**kit.reply(host.run(asked)))


def staged(host: Host, spec: DeploymentSpec) -> Weights:
    return parse_weights(kit.reply(host.run(weights.look(spec))))


@dataclass(frozen=True)
class Speeds:
    """Bytes a second: of the source as this host reads it, and of the disk under its store. None where unknown."""

    source: float | None
    disk_written: float | None
    disk_read: float | None


def speeds(host: Host, spec: DeploymentSpec) -> Speeds:
    """Measure both, some seconds each."""
    disk = kit.reply(host.run(weights.measure(spec, SAMPLE_S)))
    source = reading(host, spec, spec.weights.source).bytes_per_s
    return Speeds(source, disk["written_bytes_per_s"], disk["read_bytes_per_s"])


@dataclass(frozen=True)
class Version:
    """A version in a host's model store. ``used_at`` is in seconds since 1970; ``used_by`` are live roles there."""

    model: str
    digest: str
    path: str
    bytes: int
    current: bool
    whole: bool
    source: str
    used_at: float
    used_by: tuple[str, ...]


def versions(host: Host, spec: DeploymentSpec) -> list[Version]:
    """Every version in the model stores of a host, by model and digest."""
    found = kit.reply(host.run(weights.versions(spec)))["versions"]
    return [Version(**{**version, "used_by": tuple(version["used_by"])}) for version in found]


def served(host: Host, spec: DeploymentSpec) -> str:
    """The path of the version that this deployment's head serves; empty where it serves none from the store."""
    own = (v.path for v in versions(host, spec) if any(role.startswith(f"{spec.name}.") for role in v.used_by))
    return next(own, "")
