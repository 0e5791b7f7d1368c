"""Versions that nothing uses, removed from the model stores of a host, the least recently used first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from slipway.remote.refusal import Refused
from slipway.remote.weights.manifest import BadManifest, load_manifest
from slipway.remote.weights.using import RAY_WORKER, all_stores, used_versions
from slipway.remote.weights.versions import ModelStore, Version, free_bytes


def prune_stores(
    models: Path, agents: Path, keep: Mapping[str, str], own: str, wanted_bytes: int | None
) -> list[Version]:
    """Remove until ``wanted_bytes`` are free, or all that nothing uses where that is None; answers what was removed.

    Of the model ``own``, and of every model that is in use, the version that was used last beside those in use stays:
    a redeploy may have to go back to it. ``keep`` says by deployment which version it serves, empty for none.
    Raises Refused where another deployment's role is alive and does not say what it serves.
    """
    used = used_versions(models, agents)
    unknown = [role for role in used.silent if role.removesuffix(RAY_WORKER) not in keep]
    if unknown:
        raise Refused(
            f"{', '.join(unknown)} is alive here and does not say which model it serves; nothing was removed",
            "prune with the deployment file of that deployment, or when it is torn down",
        )
    removed = []
    kept = {*used.by, *map(Path, keep.values())}
    for store, version in sorted(_unused(models, kept, own), key=lambda pair: pair[1].used_at):
        if wanted_bytes is not None and free_bytes(models) >= wanted_bytes:
            break
        if _remove(store, version):
            removed.append(version)
    return removed


def _unused(models: Path, used: Collection[Path], own: str) -> Iterator[tuple[ModelStore, Version]]:
    for store in all_stores(models):
        unused = sorted((v for v in store.versions if v.path not in used), key=lambda version: version.used_at)
        goes_on = store.path.name == own or len(unused) < len(store.versions)
        yield from ((store, version) for version in (unused[:-1] if goes_on else unused))


def _remove(store: ModelStore, version: Version) -> bool:
    """False where somebody stages into the store just now, or the manifest does not say which files are its own."""
    with suppress(Refused, BadManifest, FileNotFoundError), store.open_lock(0):
        store.remove(version, load_manifest(version.path))
        return True
    return False
