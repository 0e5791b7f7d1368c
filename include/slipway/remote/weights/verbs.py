"""The program ``stage``: brings a model from storage into the host's model store, verified, resumed, never half there.

Its verbs take and return what becomes JSON: ``look`` at source and store, ``copy`` from one to the other, ``verify`` a
staged version, ``manifest`` to take a source's own, ``code`` to tell a model's Python files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slipway.remote.refusal import Refused, refusing
from slipway.remote.request import Request
from slipway.remote.weights.asking import algorithm_of, chunk_bytes_of, limit_of, path_of, stripe_of, threads_of
from slipway.remote.weights.code import code
from slipway.remote.weights.digests import open_digest
from slipway.remote.weights.known import digest_beside, problems_of_source
from slipway.remote.weights.listing import Listing, list_folder, printable
from slipway.remote.weights.manifest import MANIFEST, BadManifest, load_manifest
from slipway.remote.weights.progress import Pace, Progress
from slipway.remote.weights.staging import CopyOrder, needed_bytes, staged_version
from slipway.remote.weights.taking import ReadOrder, take_manifest
from slipway.remote.weights.verifying import Fault, find_faults
from slipway.remote.weights.versions import DAMAGE_RECORD, ModelStore, free_bytes

LOCK_WAIT_S = 4 * 3600.0
Asked = Mapping[str, Any]
Answer = dict[str, Any]


def look(request: Asked) -> Answer:
    """What is in the source and in the store; nothing is changed.

    ``current`` says that the staged version was made from exactly this source and is whole. The source's files are
    opened only where it is not: ``problems`` then names what is wrong with them. ``source_digest`` is that of the
    manifest beside the source, where there is one; ``needed_bytes`` is the room that staging still takes.

    Raises Refused where this host cannot take the digests that staging needs.
    """
    asked = Request(request)
    source, store = path_of(asked, "source"), ModelStore(path_of(asked, "store"))
    staged = store.current
    try:
        model, unfit = list_folder(source), store.overlap(source)
    except OSError as error:
        model, unfit = Listing(source, (), ()), f"the source {source} cannot be read: {error.strerror}"
    beside = digest_beside(model)
    algorithm = algorithm_of(asked)
    current = bool(staged and model.files and staged.made_from(model.fingerprint, beside, algorithm) and staged.whole())
    if not current:
        open_digest(algorithm)
    return {
        "source_exists": source.is_dir(),
        "files": len(model.files),
        "bytes": model.size,
        "fingerprint": model.fingerprint,
        "source_digest": beside or None,
        "staged": staged.shown if staged else None,
        "current": current,
        "needed_bytes": 0 if current else needed_bytes(store.partial(model.fingerprint), model),
        "free_bytes": free_bytes(store.path),
        "problems": [unfit] if unfit else [] if current else problems_of_source(model, asked.texts("allow_pickle")),
    }


def copy(request: Asked) -> Answer:
    """Stage the source as a version of the store and make it the current one; other versions stay.

    Resumes what an earlier copy of the same source left. With a ``stripe``, ``fetched_bytes`` of the ``copied_bytes``
    came from other hosts, and it ends when these have theirs. Raises Refused, with nothing published.
    """
    order = _copy_order(Request(request))
    overlap = order.store.overlap(order.source)
    if overlap:
        raise Refused(overlap, "choose a root outside the source")
    with ExitStack() as until_served, refusing(f"staging {order.source} into {order.store.path}"):
        until_served.enter_context(order.store.open_lock(LOCK_WAIT_S))
        model, fetched_bytes = list_folder(order.source), 0
        progress = Progress("staged", model.size)
        order.store.remove_stale(model.fingerprint)
        version = order.store.made_from(model.fingerprint, digest_beside(model), order.algorithm)
        if version:
            order.store.make_current(version)
        else:
            version, fetched_bytes = until_served.enter_context(staged_version(order, model, progress))
        seconds = progress.seconds
    return {
        "path": str(version.path),
        "digest": version.digest,
        "bytes": model.size,
        "files": len(model.files),
        "seconds": round(seconds, 3),
        "copied_bytes": progress.copied_bytes,
        "fetched_bytes": fetched_bytes,
        "resumed_bytes": progress.resumed_bytes,
    }


def manifest(request: Asked) -> Answer:
    """Take the manifest of the source and keep it beside its files; from then on every copy is held against it.

    One that is there stays, unless ``anew``.
    """
    asked = Request(request)
    source = path_of(asked, "source")
    with refusing(f"taking the manifest of {source}"):
        model = list_folder(source)
        there = "" if asked.flag("anew") else digest_beside(model)
        progress = Progress("read", model.size)
        pace, algorithm = Pace(limit_of(asked)), algorithm_of(asked)
        order = ReadOrder(source, threads_of(asked, source), chunk_bytes_of(asked), pace, progress, algorithm)
        digest = there or take_manifest(order, model, tuple(asked.texts("allow_pickle"))).digest
    read = {"seconds": round(progress.seconds, 3), "read_bytes": progress.copied_bytes}
    return {"path": str(source / MANIFEST), "digest": digest, "bytes": model.size, "files": len(model.files), **read}


def verify(request: Asked) -> Answer:
    """Read a staged version again and compare every chunk with the manifest.

    ``faults`` names file, offset and fault; ``unlisted`` the files that the manifest does not know. A version with
    faults is marked: ``look`` no longer calls it current, and ``copy`` replaces it.
    """
    asked = Request(request)
    folder = path_of(asked, "path").resolve()
    with refusing(f"verifying {folder}"):
        try:
            manifest = load_manifest(folder)
        except BadManifest as error:
            raise Refused(str(error), "stage the model again") from error
        open_digest(manifest.algorithm)
        progress = Progress("verified", manifest.size)
        seen = list_folder(folder)
        faults = find_faults(manifest, seen, threads_of(asked, folder), progress)
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


VERBS: Mapping[str, Callable[[Asked], Answer]] = {
    "look": look,
    "copy": copy,
    "manifest": manifest,
    "verify": verify,
    "code": code,
}


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
    source, store, pickles = path_of(asked, "source"), ModelStore(path_of(asked, "store")), asked.texts("allow_pickle")
    threads, chunk_bytes, limit = threads_of(asked, source), chunk_bytes_of(asked), limit_of(asked)
    stripe, algorithm = stripe_of(asked), algorithm_of(asked)
    return CopyOrder(source, store, threads, chunk_bytes, limit, tuple(pickles), stripe, algorithm)
