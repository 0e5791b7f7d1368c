"""The model on a host: what the source holds, and what of it is staged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.commands import kit, weights
from slipway.hosts import Host
from slipway.spec import DeploymentSpec


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
    )


def staged(host: Host, spec: DeploymentSpec) -> Weights:
    return parse_weights(kit.reply(host.run(weights.look(spec))))
