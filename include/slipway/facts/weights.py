"""The model on a host: what the source holds, and what of it is staged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway.commands import kit, weights
from slipway.hosts import Host
from slipway.spec import DeploymentSpec


@dataclass(frozen=True)
class Weights:
    """``current`` says that the staged copy is whole and made from the source as it is now; ``path`` is that copy."""

    source_exists: bool
    bytes: int
    current: bool
    path: str | None
    digest: str | None
    problems: tuple[str, ...]


def parse_weights(data: Mapping[str, Any]) -> Weights:
    staged = data.get("staged") or {}
    return Weights(
        source_exists=data["source_exists"],
        bytes=data.get("bytes", 0),
        current=data.get("current", False),
        path=staged.get("path"),
        digest=staged.get("digest"),
        problems=tuple(data.get("problems", ())),
    )


def staged(host: Host, spec: DeploymentSpec) -> Weights:
    return parse_weights(kit.reply(host.run(weights.look(spec))))
