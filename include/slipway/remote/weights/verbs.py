"""The program ``stage``: brings a model from storage into the host's model store, verified, resumed, never half there.

Its verbs take and return what becomes JSON: ``look`` at source and store, ``copy`` from one to the other, ``verify`` a
staged version, ``manifest`` to take a source's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slipway.remote.refusal import Refused, refusing
from slipway.remote.request import Request
from slipway.remote.weights.blocks import BLOCK_BYTES
from slipway.remote.weights.chunks import DEFAULT_CHUNK_BYTES
from slipway.remote.weights.known import digest_beside, problems_of_source
from slipway.remote.weights.listing import Listing, list_folder, printable
from slipway.remote.weights.manifest import MANIFEST, BadManifest, load_manifest
from slipway.remote.weights.mounts import is_network
from slipway.remote.weights.progress import Pace, Progress
from slipway.remote.weights.staging import CopyOrder, needed_bytes, stage_version
from slipway.remote.weights.taking import ReadOrder, take_manifest
from slipway.remote.weights.verifying import Fault, find_faults
from slipway.remote.weights.versions import DAMAGE_RECORD, ModelStore, Version, free_bytes

LOCK_WAIT_S = 4 * 3600.0
MOST_THREADS = 64
LARGEST_CHUNK_BYTES = 1024**3

Asked = Mapping[str, Any]
Answer = dict[str, Any]


def look(request: Asked) -> Answer:
    """What is in the source and in the store; nothing is changed.

    ``current`` says that the staged version was made from exactly this source and is whole. The source's files are
    opened only where it is not: ``problems`` then names what is wrong with them. ``source_digest`` is that of the
    manifest beside the source, where there is one; ``needed_bytes`` is the room that staging still takes.
    """
    asked = Request(request)
    source, store = _path(asked, "source"), ModelStore(_path(asked, "store"))
    staged = store.current
    try:
        model, unfit = list_folder(source), store.overlap(source)
    except OSError as error:
        model, unfit = Listing(source, (), ()), f"the source {source} cannot be read: {error.strerror}"
    beside = digest_beside(model)
    current = bool(staged and model.files and staged.made_from(model.fingerprint, beside) and staged.whole())
    return {
        "source_exists": source.is_dir(),
        "files": len(model.files),
        "bytes": model.size,
        "fingerprint": model.fingerprint,
        "source_digest": beside or None,
        "staged": _shown(staged) if staged else None,
        "current": current,
        "needed_bytes": 0 if current else needed_bytes(store.partial(model.fingerprint), model),
        "free_bytes": free_bytes(store.path),
        "problems": [unfit] if unfit else [] if current else problems_of_source(model, asked.texts("allow_pickle")),
    }


def copy(request: Asked) -> Answer:
    """Stage the source as a version of the store and make it the current one; other versions stay.

    Resumes what an earlier copy of the same source left. Raises Refused, with nothing published.
    """
    order = _copy_order(Request(request))
    overlap = order.store.overlap(order.source)
    if overlap:
        raise Refused(overlap, "choose a root outside the source")
    with refusing(f"staging {order.source} into {order.store.path}"), order.store.open_lock(LOCK_WAIT_S):
        model = list_folder(order.source)
        progress = Progress("staged", model.size)
        order.store.remove_stale(model.fingerprint)
        version = order.store.made_from(model.fingerprint, digest_beside(model))
        if version:
            order.store.make_current(version)
        else:
            version = stage_version(order, model, progress)
    return {
        "path": str(version.path),
        "digest": version.digest,
        "bytes": model.size,
        "files": len(model.files),
        "seconds": round(progress.seconds, 3),
        "copied_bytes": progress.copied_bytes,
        "resumed_bytes": progress.resumed_bytes,
    }


def manifest(request: Asked) -> Answer:
    """Take the manifest of the source and keep it beside its files; from then on every copy is held against it.

    One that is there stays, unless ``anew``.
    """
    asked = Request(request)
    source = _path(asked, "source")
    with refusing(f"taking the manifest of {source}"):
        model = list_folder(source)
        there = "" if asked.flag("anew") else digest_beside(model)
        progress = Progress("read", model.size)
        order = ReadOrder(source, _threads(asked, source), _chunk_bytes(asked), Pace(_limit(asked)), progress)
        digest = there or take_manifest(order, model, tuple(asked.texts("allow_pickle"))).digest
    read = {"seconds": round(progress.seconds, 3), "read_bytes": progress.copied_bytes}
    return {"path": str(source / MANIFEST), "digest": digest, "bytes": model.size, "files": len(model.files), **read}


def verify(request: Asked) -> Answer:
    """Read a staged version again and compare every chunk with the manifest.

    ``faults`` names file, offset and fault; ``unlisted`` the files that the manifest does not know. A version with
    faults is marked: ``look`` no longer calls it current, and ``copy`` replaces it.
    """
    asked = Request(request)
    folder = _path(asked, "path").resolve()
    with refusing(f"verifying {folder}"):
        try:
            manifest = load_manifest(folder)
        except BadManifest as error:
            raise Refused(str(error), "stage the model again") from error
        progress = Progress("verified", manifest.size)
        seen = list_folder(folder)
        faults = find_faults(manifest, seen, _threads(asked, folder), progress)
        _mark(folder, faults)
    return {
        "path": str(folder),
        "digest": folder.name,
        "ok": not faults,
        "bytes": manifest.size,
        "files": len(manifest.files),
        "seconds": round(progress.seconds, 3),
        "faults": [asdict(fault) for fault in faults],
        "unlisted": sorted({file.name for file in seen.files} - {file.name for file in manifest.files}),
    }


VERBS: Mapping[str, Callable[[Asked], Answer]] = {"look": look, "copy": copy, "manifest": manifest, "verify": verify}


def _shown(version: Version) -> Answer:
    shown: Answer = {"path": str(version.path), "digest": version.digest, "fingerprint": version.fingerprint}
    return {**shown, "took": version.took}


def _mark(folder: Path, faults: list[Fault]) -> None:
    """Record the faults in the version's folder, or that there are none any more."""
    record = folder / DAMAGE_RECORD
    if not faults:
        record.unlink(missing_ok=True)
        return
    first = faults[0]
    with refusing(f"marking that {printable(first.file)} at byte {first.offset} {first.fault}"):
        record.write_text(json.dumps([asdict(fault) for fault in faults]))


def _copy_order(asked: Request) -> CopyOrder:
    source, store, pickles = _path(asked, "source"), ModelStore(_path(asked, "store")), asked.texts("allow_pickle")
    return CopyOrder(source, store, _threads(asked, source), _chunk_bytes(asked), _limit(asked), tuple(pickles))


def _chunk_bytes(asked: Request) -> int:
    chunk_bytes = asked.integer("chunk_bytes", DEFAULT_CHUNK_BYTES, low=BLOCK_BYTES, high=LARGEST_CHUNK_BYTES)
    if chunk_bytes % BLOCK_BYTES:
        raise asked.wrong("chunk_bytes", f"is not a multiple of {BLOCK_BYTES}")
    return chunk_bytes


def _limit(asked: Request) -> int | None:
    return None if asked.get("limit_bytes_per_s") is None else asked.integer("limit_bytes_per_s", low=1)


def _path(asked: Request, name: str) -> Path:
    path = Path(asked.text(name))
    if not path.is_absolute():
        raise asked.wrong(name, "is not an absolute path")
    return path


def _threads(asked: Request, folder: Path) -> int:
    """As many as were asked for, else what suits the storage: a core takes the SHA-256 of some 1.5 GiB a second."""
    cores = os.cpu_count() or 1
    fitting = min(16, max(4, cores)) if is_network(folder) else 8 if cores >= 16 else 4
    return asked.integer("threads", fitting, low=1, high=MOST_THREADS)
