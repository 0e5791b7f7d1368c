"""The program ``models``: the model stores of this host, each with its versions.

``look`` and ``adopt`` are for what is downloaded: a repository at a commit, its *origin*. ``list`` says what is there
and what uses it, ``prune`` removes what nothing uses, ``warm`` brings a version into the page cache, ``measure`` says
how fast the disk is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from slipway.remote.refusal import Refused, refusing
from slipway.remote.request import Request
from slipway.remote.weights.adopting import adopt_version, download_folder, fingerprint_of
from slipway.remote.weights.asking import algorithm_of, chunk_bytes_of, path_of, threads_of
from slipway.remote.weights.digests import open_digest
from slipway.remote.weights.listing import list_folder
from slipway.remote.weights.manifest import BadManifest, load_manifest
from slipway.remote.weights.measuring import measure_disk
from slipway.remote.weights.progress import Pace, Progress
from slipway.remote.weights.pruning import prune_stores
from slipway.remote.weights.taking import ReadOrder
from slipway.remote.weights.using import all_stores, used_versions
from slipway.remote.weights.versions import SOURCE_RECORD, ModelStore, Version, free_bytes
from slipway.remote.weights.warming import fits_memory, warm_files

LOCK_WAIT_S = 4 * 3600.0

Answer = dict[str, Any]


def look(request: Request) -> Answer:
    """What of ``origin`` is staged in ``store``; nothing is changed. The same answer as that of ``stage look``."""
    store, origin = ModelStore(path_of(request, "store")), request.text("origin")
    staged, algorithm = store.current, algorithm_of(request)
    current = bool(staged and staged.made_from(fingerprint_of(origin), "", algorithm) and staged.whole())
    if not current:
        open_digest(algorithm)
    return {
        "source_exists": True,
        "bytes": size_of(staged) if staged and current else 0,
        "staged": staged.shown if staged else None,
        "current": current,
        "free_bytes": free_bytes(store.path),
        "problems": [],
    }


def adopt(request: Request) -> Answer:
    """Make what was downloaded from ``origin`` a version of ``store``, and the current one. Raises Refused."""
    store, origin, algorithm = ModelStore(path_of(request, "store")), request.text("origin"), algorithm_of(request)
    folder = download_folder(store, origin)
    with refusing(f"taking {origin} into {store.path}"), store.open_lock(LOCK_WAIT_S):
        store.remove_stale(fingerprint_of(origin))
        version = store.made_from(fingerprint_of(origin), "", algorithm)
        if version:
            store.make_current(version)
        else:
            progress = Progress("checked", list_folder(folder).size)
            threads, chunk_bytes = threads_of(request, folder), chunk_bytes_of(request)
            order = ReadOrder(folder, threads, chunk_bytes, Pace(None), progress, algorithm)
            version = adopt_version(store, origin, order, tuple(request.texts("allow_pickle")))
    return {"path": str(version.path), "digest": version.digest, "bytes": size_of(version)}


def list_versions(request: Request) -> Answer:
    """Every version below ``models``, with the live roles below ``agents`` that use it. Nothing is read but names."""
    models, agents = path_of(request, "models"), path_of(request, "agents")
    used = used_versions(models, agents)
    versions = [
        {
            "model": store.path.name,
            "digest": version.digest,
            "path": str(version.path),
            "bytes": size_of(version),
            "current": store.current == version,
            "whole": version.whole(),
            "source": version.record.get("source", ""),
            "used_at": version.used_at,
            "used_by": used.by.get(version.path, []),
        }
        for store in all_stores(models)
        for version in store.versions
    ]
    return {"versions": versions, "silent": used.silent, "free_bytes": free_bytes(models)}


def prune(request: Request) -> Answer:
    """Remove versions that nothing uses, the least recently used first, until ``free_bytes`` are free; all without.

    The last used one of ``model`` stays, since a redeploy may have to go back to it.

    ``keep`` says by deployment which version it serves where no role on this host says so; empty for none.
    """
    models, agents = path_of(request, "models"), path_of(request, "agents")
    wanted = None if request.get("free_bytes") is None else request.integer("free_bytes")
    with refusing(f"removing versions below {models}"):
        removed = prune_stores(models, agents, request.variables("keep"), request.text("model", ""), wanted)
    return {"removed": [str(version.path) for version in removed], "free_bytes": free_bytes(models)}


def warm(request: Request) -> Answer:
    """Note that the version at ``path`` is about to be served, and read it once where memory allows that."""
    folder = path_of(request, "path")
    with refusing(f"reading {folder}"):
        try:
            manifest = load_manifest(folder)
        except BadManifest as error:
            raise Refused(str(error), "stage the model again") from error
        os.utime(folder / SOURCE_RECORD)
        fits, began = fits_memory(manifest.size), time.monotonic()
        if fits:
            warm_files(folder, manifest)
    return {"warmed": fits, "bytes": manifest.size, "seconds": round(time.monotonic() - began, 3)}


def size_of(version: Version) -> int:
    """Bytes of all its files together; 0 where its manifest is damaged."""
    with suppress(OSError, BadManifest):
        return load_manifest(version.path).size
    return 0


def measure(request: Request) -> Answer:
    """How fast the disk under ``store`` is written and read, in ``seconds`` for each at most."""
    store, seconds = path_of(request, "store"), request.number("seconds", 3, high=60)
    with refusing(f"measuring the disk under {store}"):
        return {**measure_disk(store, seconds, request.integer("limit_bytes", 1 << 30))}


VERBS: Mapping[str, Callable[[Request], Answer]] = {
    "adopt": adopt,
    "list": list_versions,
    "look": look,
    "measure": measure,
    "prune": prune,
    "warm": warm,
}
