"""A staged model read again and compared with its manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from slipway.remote.weights.blocks import aligned_buffer
from slipway.remote.weights.chunk_files import ChunkFiles
from slipway.remote.weights.chunks import Chunk, work_through
from slipway.remote.weights.listing import Listing
from slipway.remote.weights.manifest import Manifest
from slipway.remote.weights.progress import Progress


@dataclass(frozen=True, order=True)
class Fault:
    """``offset`` is where the faulty chunk begins, or where a file of the wrong size ends or should end."""

    file: str
    offset: int
    fault: str


@dataclass(frozen=True)
class VerifyJob:
    """One verification; its workers add to ``faults``."""

    folder: Path
    chunk_bytes: int
    algorithm: str
    digests: Mapping[int, str]
    progress: Progress
    faults: list[Fault] = field(default_factory=list)


def find_faults(manifest: Manifest, seen: Listing, threads: int, progress: Progress) -> list[Fault]:
    """Every chunk that is not as the manifest says; a file of another size is one fault, and is not read."""
    sizes = {file.name: file.size for file in seen.files}
    wrong = list(_wrong_sizes(manifest, sizes))
    skipped = {fault.file for fault in wrong}
    chunks = [(chunk, digest) for chunk, digest in manifest.chunks() if chunk.name not in skipped]
    digests = {chunk.number: digest for chunk, digest in chunks}
    job = VerifyJob(seen.folder, manifest.chunk_bytes, manifest.algorithm, digests, progress, wrong)
    work_through([chunk for chunk, _ in chunks], lambda: closing(ChunkVerifier(job)), threads, progress.say)
    return sorted(job.faults)


class ChunkVerifier:
    """Compares chunks with their digests, one at a time; what does not agree is read once more before it counts."""

    def __init__(self, job: VerifyJob) -> None:
        self._job = job
        self._files = ChunkFiles(job.folder, os.O_RDONLY, job.algorithm)
        self._buffer = aligned_buffer(job.chunk_bytes)

    def close(self) -> None:
        self._files.close()

    def __call__(self, chunk: Chunk) -> None:
        fault = self._fault(chunk) and self._fault(chunk)
        if fault:
            self._job.faults.append(Fault(chunk.name, chunk.offset, fault))
        self._job.progress.add(copied=chunk.length)

    def _fault(self, chunk: Chunk) -> str:
        try:
            digest = self._files.read(chunk, self._buffer)
        except EOFError as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return "" if digest == self._job.digests[chunk.number] else "differs from the manifest"


def _wrong_sizes(manifest: Manifest, sizes: Mapping[str, int]) -> Iterator[Fault]:
    for file in manifest.files:
        size = sizes.get(file.name)
        if size is None:
            yield Fault(file.name, 0, "is missing")
        elif size != file.size:
            yield Fault(file.name, min(size, file.size), f"has {size} bytes, not {file.size}")
