"""The files of a folder, read and written by chunks."""

from __future__ import annotations

from pathlib import Path

from slipway.remote.weights.blocks import BlockFile
from slipway.remote.weights.chunks import Chunk
from slipway.remote.weights.digests import open_digest
from slipway.remote.weights.listing import printable


class ChunkFiles:
    """One file of the folder is open at a time, which suits chunks that come in the order of the files."""

    def __init__(self, folder: Path, flags: int, algorithm: str) -> None:
        """``flags`` as for :func:`os.open`; ``algorithm`` is one of :data:`DIGESTS`."""
        self._digest = open_digest(algorithm)
        self._folder = folder
        self._flags = flags
        self._name = ""
        self._file: BlockFile | None = None

    def read(self, chunk: Chunk, buffer: memoryview) -> str:
        """Read a chunk into an aligned buffer and give its digest.

        Raises OSError, or EOFError where the file is shorter.
        """
        self._open(chunk.name).read(buffer, chunk.offset, chunk.length)
        return self._digest(buffer[: chunk.length])

    def write(self, chunk: Chunk, buffer: memoryview) -> None:
        """Write a chunk from an aligned buffer. Raises OSError."""
        self._open(chunk.name).write(buffer, chunk.offset, chunk.length)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, name: str) -> BlockFile:
        if self._file is None or name != self._name:
            self.close()
            self._file, self._name = BlockFile(self._folder / name, self._flags), name
        return self._file


def place(chunk: Chunk) -> str:
    """Where a chunk lies, for a message."""
    return f"{printable(chunk.name)} at byte {chunk.offset}"
