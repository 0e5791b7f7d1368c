"""Chunks copied from one folder to another, each with its digest taken between the read and the write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from slipway.remote.refusal import Refused, refusing
from slipway.remote.weights.blocks import aligned_buffer
from slipway.remote.weights.chunk_files import ChunkFiles, place
from slipway.remote.weights.chunks import Chunk
from slipway.remote.weights.journal import Journal
from slipway.remote.weights.known import Known
from slipway.remote.weights.listing import Listing, list_folder, printable
from slipway.remote.weights.peers import PeerReader, Peers
from slipway.remote.weights.progress import Pace, Progress


@dataclass(frozen=True)
class CopyJob:
    """One copy of a model folder; the files of the target are there already, with their full length.

    Chunks that ``peers`` read from the source come from them, where they can give them.
    """

    source: Path
    target: Path
    chunk_bytes: int
    algorithm: str
    known: Known
    journal: Journal
    progress: Progress
    pace: Pace
    peers: Peers | None = None


class ChunkCopier:
    """Copies chunks, one at a time.

    A chunk that the journal knows is read back from the target, and only copied where it is not what the journal says.
    A chunk of the source that is not what is known of it is read once more before it is refused.
    """

    def __init__(self, job: CopyJob) -> None:
        self._job = job
        self._source = ChunkFiles(job.source, os.O_RDONLY, job.algorithm)
        self._target = ChunkFiles(job.target, os.O_RDWR | os.O_NOFOLLOW, job.algorithm)
        self._buffer = aligned_buffer(job.chunk_bytes)
        self._peers = PeerReader(job.peers) if job.peers else None

    def close(self) -> None:
        self._source.close()
        self._target.close()
        if self._peers:
            self._peers.close()

    def __call__(self, chunk: Chunk) -> None:
        """Raises Refused with the file and the offset."""
        copied = self._job.journal.digests.get(chunk.number)
        if copied and self._job.known.fits(chunk, copied) and copied == self._digest_in_target(chunk):
            self._job.progress.add(resumed=chunk.length)
            self._offer(chunk, copied)
            return
        digest = self._digest_of_peer(chunk)
        if not digest:
            self._job.pace.take(chunk.length)
            digest = self._expected_digest(chunk)
        with refusing(f"writing {place(chunk)}"):
            self._target.write(chunk, self._buffer)
            self._job.journal.add(chunk, digest)
        self._job.progress.add(copied=chunk.length)
        self._offer(chunk, digest)

    def _offer(self, chunk: Chunk, digest: str) -> None:
        if self._job.peers:
            self._job.peers.shelf.put(chunk, digest)

    def _digest_of_peer(self, chunk: Chunk) -> str:
        """Of a chunk that a peer gave, which lies in the buffer then; empty where none gave what is known of it."""
        digest = self._peers.read(chunk, self._buffer) if self._peers else ""
        return digest if digest and self._job.known.fits(chunk, digest) else ""

    def _digest_in_target(self, chunk: Chunk) -> str:
        """Empty where the chunk cannot be read: it is copied again then."""
        with suppress(OSError, EOFError):
            return self._target.read(chunk, self._buffer)
        return ""

    def _expected_digest(self, chunk: Chunk) -> str:
        """Of the source's chunk, which lies in the buffer then. Raises Refused where it is not what is known of it."""
        for _ in range(2):
            digest = self._digest_in_source(chunk)
            if self._job.known.fits(chunk, digest):
                return digest
        raise self._job.known.refusal(place(chunk))

    def _digest_in_source(self, chunk: Chunk) -> str:
        try:
            with refusing(f"reading {place(chunk)} of the source"):
                return self._source.read(chunk, self._buffer)
        except EOFError as error:
            raise source_changed([chunk.name]) from error


def require_unchanged(model: Listing) -> None:
    """Raises Refused where the source no longer holds what was listed."""
    changed = {file.name for file in {*model.files} ^ {*list_folder(model.folder).files}}
    if changed:
        raise source_changed(sorted(changed))


def source_changed(names: Sequence[str]) -> Refused:
    """The error of a copy whose source was written to meanwhile."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return Refused(
        f"the source changed while it was copied: {', '.join(map(printable, names[:3]))}{more}; nothing was published",
        "wait until nobody writes to the source, then stage again",
    )
