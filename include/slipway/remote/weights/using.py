"""Which versions of the model stores are in use: by what the agents on this host serve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway.remote.agent.role import Role, roles_in
from slipway.remote.weights.versions import ModelStore

RAY_WORKER = ".ray-worker"
"""Roles under which a model is served without a word of it in their arguments: Ray starts vLLM's workers there."""


@dataclass(frozen=True)
class Used:
    """``by`` are the live roles that name a version, by its path; ``silent`` those that serve one unnamed."""

    by: dict[Path, list[str]]
    silent: list[str]


def used_versions(models: Path, agents: Path) -> Used:
    """What the live roles on this host use. Looking changes nothing."""
    alive = [role for role in roles_in(agents) if role.held()]
    used: dict[Path, list[str]] = {}
    for role in alive:
        for path in _named(role, models):
            used.setdefault(path, []).append(role.name)
    return Used(used, [role.name for role in alive if role.name.endswith(RAY_WORKER)])


def all_stores(models: Path) -> list[ModelStore]:
    """The store of every model below a folder."""
    return [ModelStore(folder) for folder in sorted(models.iterdir())] if models.is_dir() else []


def _named(role: Role, models: Path) -> Iterator[Path]:
    """The versions that a role's arguments name: as a word of their own, or as ``--model=PATH``."""
    for word in (role.state() or {}).get("argv", []):
        path = Path(word.partition("=")[2] or word)
        if path.parent.parent == models:
            yield path
