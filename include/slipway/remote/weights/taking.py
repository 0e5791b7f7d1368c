"""The manifest of a source, taken once by reading the whole model, and kept beside its files."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from slipway.remote.files import replace
from slipway.remote.refusal import Refused, refusing
from slipway.remote.weights.blocks import aligned_buffer
from slipway.remote.weights.checkpoint import problems_of
from slipway.remote.weights.chunk_files import ChunkFiles, place
from slipway.remote.weights.chunks import Chunk, split, work_through
from slipway.remote.weights.copying import require_unchanged, source_changed
from slipway.remote.weights.digests import SHA256, open_digest
from slipway.remote.weights.listing import Listing
from slipway.remote.weights.manifest import MANIFEST, Manifest, manifest_of
from slipway.remote.weights.progress import Pace, Progress


@dataclass(frozen=True)
class ReadOrder:
    """How a source is read; its workers add to ``digests``, by the number of the chunk."""

    source: Path
    threads: int
    chunk_bytes: int
    pace: Pace
    progress: Progress
    algorithm: str = SHA256
    digests: dict[int, str] = field(default_factory=dict)


def take_manifest(order: ReadOrder, model: Listing, pickles: tuple[str, ...]) -> Manifest:
    """Read every file and write the manifest beside them. Raises Refused where the source is no whole model."""
    manifest = read_manifest(order, model, pickles)
    with refusing(f"writing the manifest beside {order.source}"):
        replace(order.source / MANIFEST, manifest.text, 0o644)
    return manifest


def read_manifest(order: ReadOrder, model: Listing, pickles: tuple[str, ...]) -> Manifest:
    """The manifest of a folder, by reading it. Raises Refused where that is no whole model, or changes meanwhile."""
    problems = problems_of(model, pickles)
    if problems:
        raise Refused(f"{order.source} is no whole model:\n" + "\n".join(problems), "mend the source first")
    open_digest(order.algorithm)
    sizes = [(file.name, file.size) for file in model.files]
    chunks = split(sizes, order.chunk_bytes)
    work_through(chunks, lambda: closing(ChunkReader(order)), order.threads, order.progress.say)
    require_unchanged(model)
    return manifest_of(sizes, order.chunk_bytes, order.digests, order.algorithm)


class ChunkReader:
    """Takes the digests of chunks, one at a time."""

    def __init__(self, order: ReadOrder) -> None:
        self._order = order
        self._files = ChunkFiles(order.source, os.O_RDONLY, order.algorithm)
        self._buffer = aligned_buffer(order.chunk_bytes)

    def close(self) -> None:
        self._files.close()

    def __call__(self, chunk: Chunk) -> None:
        self._order.pace.take(chunk.length)
        try:
            with refusing(f"reading {place(chunk)} of the source"):
                self._order.digests[chunk.number] = self._files.read(chunk, self._buffer)
        except EOFError as error:
            raise source_changed([chunk.name]) from error
        self._order.progress.add(copied=chunk.length)
