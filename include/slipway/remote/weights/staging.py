"""One copy of a model into a store, from the checks before the first byte to the publishing after the last."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slipway.remote.refusal import Refused, refusing
from slipway.remote.weights.blocks import reserve, settle, settle_folder
from slipway.remote.weights.chunks import split, work_through
from slipway.remote.weights.copying import ChunkCopier, CopyJob, require_unchanged
from slipway.remote.weights.digests import SHA256, open_digest
from slipway.remote.weights.journal import Journal
from slipway.remote.weights.known import Known, known_of, problems_of_source
from slipway.remote.weights.listing import Listing, printable
from slipway.remote.weights.manifest import MANIFEST, Manifest, manifest_of
from slipway.remote.weights.peers import Peers
from slipway.remote.weights.progress import GIB, Pace, Progress
from slipway.remote.weights.striping import PeerServer, Shelf, Stripe
from slipway.remote.weights.versions import SOURCE_RECORD, ModelStore, Version, free_bytes

SETTLERS = 8
"""Threads that bring files to the disk: a file system does several at once as quickly as one."""

SPARE_PART = 0.05
"""The part of the model's size that must be free beside it."""


@dataclass(frozen=True)
class CopyOrder:
    """What to copy, where to, and how. ``chunk_bytes`` is a multiple of 4,096; ``pickles`` may be part of the model.

    ``algorithm`` makes the digests, unless a manifest beside the source says otherwise: the copy is held against that.
    With a ``stripe`` this host reads a share of the source, and gives it to the others for theirs.
    """

    source: Path
    store: ModelStore
    threads: int
    chunk_bytes: int
    limit_bytes_per_s: float | None
    pickles: tuple[str, ...] = ()
    stripe: Stripe | None = None
    algorithm: str = SHA256


@contextmanager
def staged_version(order: CopyOrder, model: Listing, progress: Progress) -> Iterator[tuple[Version, int]]:
    """Copy a source that no whole version was made from yet, and publish it. The store's lock is held.

    Gives the version and how many bytes came from other hosts; these can fetch theirs as long as it lasts.
    Raises Refused with nothing published; what was copied stays for the next attempt.
    """
    problems = problems_of_source(model, order.pickles)
    if problems:
        raise Refused(f"{order.source} is no whole model:\n" + "\n".join(problems), "mend the source, then stage again")
    known = known_of(model, order.store, order.algorithm)
    if known.manifest:
        order = replace(order, chunk_bytes=known.manifest.chunk_bytes, algorithm=known.manifest.algorithm)
    open_digest(order.algorithm)
    partial = order.store.partial(model.fingerprint)
    _require_space(partial, model)
    _reserve(partial, model)
    with _shared(order, model, partial) as peers:
        digests = _copy_chunks(order, model, known, progress, peers)
        require_unchanged(model)
        sizes = [(file.name, file.size) for file in model.files]
        manifest = manifest_of(sizes, order.chunk_bytes, digests, order.algorithm)
        seal(partial, model, manifest, record_of(str(model.folder), model.fingerprint, progress))
        version = order.store.publish(partial, manifest)
        order.store.journal(model.fingerprint).unlink()
        if peers:
            peers.shelf.folder = version.path
        yield version, peers.fetched_bytes if peers else 0


@contextmanager
def _shared(order: CopyOrder, model: Listing, partial: Path) -> Iterator[Peers | None]:
    """Give what is here to the other hosts, until at the end they have all of it too."""
    if order.stripe is None:
        yield None
        return
    shelf = Shelf(f"{model.fingerprint}-{order.chunk_bytes}-{order.algorithm}", partial)
    with closing(PeerServer(order.stripe, shelf)):
        peers = Peers(order.stripe, shelf, order.algorithm)
        yield peers
        peers.say_served()


def needed_bytes(partial: Path, model: Listing) -> int:
    """The room that a copy still takes: the model and a part to spare, less what an earlier attempt left."""
    there = sum(path.lstat().st_blocks * 512 for path in partial.rglob("*")) if partial.exists() else 0
    return max(0, int(model.size * (1 + SPARE_PART)) - there)


def _require_space(partial: Path, model: Listing) -> None:
    needed = needed_bytes(partial, model)
    free = free_bytes(partial)
    if free < needed:
        raise Refused(
            f"{partial.parent} has {free / GIB:.2f} GiB free, and {needed / GIB:.2f} GiB are needed: "
            f"the model's {model.size / GIB:.2f} GiB and {SPARE_PART:.0%}, less what an earlier attempt left",
            "remove old versions from the store, or choose a root on a larger disk",
        )


def _reserve(partial: Path, model: Listing) -> None:
    """Create all files with their full length; where one does not fit, none keeps room that it did not have."""
    grown: list[tuple[Path, int]] = []
    try:
        for file in model.files:
            path = partial / file.name
            with refusing(f"making room for {printable(file.name)}"):
                path.parent.mkdir(parents=True, exist_ok=True)
                grown.append((path, reserve(path, file.size)))
    except Refused:
        for path, size in grown:
            os.truncate(path, size)
        raise


def _copy_chunks(
    order: CopyOrder, model: Listing, known: Known, progress: Progress, peers: Peers | None
) -> dict[int, str]:
    """Chunk number -> digest, once all chunks are in their files."""
    chunks = split([(file.name, file.size) for file in model.files], order.chunk_bytes)
    if order.stripe:
        chunks = order.stripe.in_order(chunks, lag=2 * order.threads)
    target = order.store.partial(model.fingerprint)
    title = f"slipway-journal 1 {model.fingerprint} {order.chunk_bytes}"
    title += "" if order.algorithm == SHA256 else f" {order.algorithm}"
    with closing(Journal(order.store.journal(model.fingerprint), title, target)) as journal:
        pace = Pace(order.limit_bytes_per_s)
        job = CopyJob(order.source, target, order.chunk_bytes, order.algorithm, known, journal, progress, pace, peers)
        work_through(chunks, lambda: closing(ChunkCopier(job)), order.threads, progress.say)
        return journal.digests


def record_of(source: str, fingerprint: str, progress: Progress) -> dict[str, Any]:
    """What is written down of where a version came from, and what bringing it took."""
    took = {"seconds": round(progress.seconds, 3), "copied_bytes": progress.copied_bytes}
    return {"source": source, "fingerprint": fingerprint, "staged_at": time.time(), **took}


def seal(partial: Path, model: Listing, manifest: Manifest, record: Mapping[str, Any]) -> None:
    """Have everything on the disk, with the manifest and the record of the source."""
    with ThreadPoolExecutor(SETTLERS) as pool:
        list(pool.map(lambda file: settle(partial / file.name, file.size), model.files))
    (partial / MANIFEST).write_bytes(manifest.text)
    (partial / SOURCE_RECORD).write_text(json.dumps({**record, "algorithm": manifest.algorithm}))
    for name in (MANIFEST, SOURCE_RECORD):
        settle(partial / name)
    for folder in (partial, *(path for path in partial.rglob("*") if path.is_dir())):
        settle_folder(folder)
