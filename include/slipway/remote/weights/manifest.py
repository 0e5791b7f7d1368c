"""What a model is: the name, the size and the chunk digests of each file, written down beside the files.

The SHA-256 of the manifest file itself is the model's version, and so equal on every host that holds the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.remote.weights.chunks import Chunk, split
from slipway.remote.weights.digests import DIGESTS, SHA256

MANIFEST = "slipway-manifest.json"


class BadManifest(ValueError):
    """A manifest is not what was written; the message says why."""


@dataclass(frozen=True)
class FileEntry:
    """``chunks`` are the digests of the file's chunks in order; all chunks but the last are equally long."""

    name: str
    size: int
    chunks: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """The files in the order of their names, cut into chunks of ``chunk_bytes``; ``algorithm`` made their digests."""

    chunk_bytes: int
    files: tuple[FileEntry, ...]
    algorithm: str = SHA256

    @property
    def text(self) -> bytes:
        """The manifest file: JSON with one way only to write it, which names SHA-256 by saying nothing."""
        files = [{"chunks": file.chunks, "name": file.name, "size": file.size} for file in self.files]
        content = {"chunk_bytes": self.chunk_bytes, "files": files, "manifest": 1}
        content |= {} if self.algorithm == SHA256 else {"digest": self.algorithm}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def chunks(self) -> list[tuple[Chunk, str]]:
        """Every chunk of the model with its digest."""
        chunks = split([(file.name, file.size) for file in self.files], self.chunk_bytes)
        digests = [digest for file in self.files for digest in file.chunks]
        return [(chunk, digests[chunk.number]) for chunk in chunks]


def manifest_of(
    sizes: Sequence[tuple[str, int]], chunk_bytes: int, digests: Mapping[int, str], algorithm: str
) -> Manifest:
    """The manifest of files, given as pairs of name and size, from the digests of their chunks by number."""
    of_file: dict[str, list[str]] = {name: [] for name, _ in sizes}
    for chunk in split(sizes, chunk_bytes):
        of_file[chunk.name].append(digests[chunk.number])
    files = tuple(FileEntry(name, size, tuple(of_file[name])) for name, size in sizes)
    return Manifest(chunk_bytes, files, algorithm)


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a published model folder, which is named by its digest.

    Raises BadManifest where it is not the one that was written, FileNotFoundError where there is none.
    """
    text = (folder / MANIFEST).read_bytes()
    if hashlib.sha256(text).hexdigest() != folder.name:
        raise BadManifest(f"{folder / MANIFEST} was changed: its digest is not {folder.name}")
    return parse_manifest(text)


def parse_manifest(text: bytes) -> Manifest:
    """Raises BadManifest where the text is no manifest, or names files outside its folder."""
    try:
        content: dict[str, Any] = json.loads(text)
        entries = [FileEntry(file["name"], file["size"], tuple(file["chunks"])) for file in content["files"]]
        manifest = Manifest(content["chunk_bytes"], tuple(entries), content.get("digest", SHA256))
        strange = [entry.name for entry in entries if not _fits(entry, manifest.chunk_bytes)]
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise BadManifest(f"not a manifest of Slipway: {error!r}") from error
    if manifest.algorithm not in DIGESTS:
        raise BadManifest(f"its digests are of {manifest.algorithm!a}, which this Slipway does not know")
    if strange:
        raise BadManifest(f"not a manifest of Slipway: the entry {strange[0]!a}")
    return manifest


def _fits(entry: FileEntry, chunk_bytes: int) -> bool:
    path = PurePosixPath(entry.name)
    inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    return inside and len(entry.chunks) == -(-entry.size // chunk_bytes)
