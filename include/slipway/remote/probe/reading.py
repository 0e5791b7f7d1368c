"""How fast a folder's storage is read: a short sample of its largest files, past the page cache where that can be."""

from __future__ import annotations

import errno
import mmap
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slipway.remote.refusal import refusing
from slipway.remote.request import Request
from slipway.remote.weights.listing import list_folder

BLOCK_BYTES = 4 << 20
LARGEST_PART = 4
"""At most one byte in so many of the folder is read."""


def reading(request: Request) -> dict[str, Any]:
    """Read of ``folder`` at most ``limit_bytes`` and ``seconds``, ``threads`` at a time.

    Answers ``bytes`` and ``seconds``; ``direct`` says that the page cache had no part in it. A folder that is too small
    for a sample gives no bytes.
    """
    folder, deadline = Path(request.text("folder")), time.monotonic() + request.number("seconds", 2, high=60)
    with refusing(f"reading {folder}"):
        files = sorted(list_folder(folder).files, key=lambda file: -file.size)
        limit = min(request.integer("limit_bytes", 256 << 20), sum(file.size for file in files) // LARGEST_PART)
        blocks = _Blocks([(folder / file.name, file.size) for file in files], limit, deadline)
        began = time.monotonic()
        _side_by_side(blocks, request.integer("threads", 4, low=1, high=64))
        blocks.require_read()
    return {"bytes": blocks.read_bytes, "seconds": time.monotonic() - began, "direct": blocks.direct}


class _Blocks:
    """Blocks of the files in turn, handed out until the limit or the deadline, and what came of them."""

    def __init__(self, files: list[tuple[Path, int]], limit_bytes: int, deadline: float) -> None:
        self.read_bytes = 0
        self.direct = True
        self._fault: OSError | None = None
        self._lock = threading.Lock()
        self._left = _places(files, limit_bytes // BLOCK_BYTES)
        self._deadline = deadline

    def take(self) -> tuple[Path, int] | None:
        with self._lock:
            return None if self._fault or time.monotonic() > self._deadline else next(self._left, None)

    def add(self, size: int, *, direct: bool) -> None:
        with self._lock:
            self.read_bytes += size
            self.direct &= direct

    def fail(self, error: OSError) -> None:
        self._fault = error

    def require_read(self) -> None:
        """Raises what a reader met."""
        if self._fault:
            raise self._fault


def _places(files: list[tuple[Path, int]], count: int) -> Iterator[tuple[Path, int]]:
    """Whole blocks alone: the offset of a read past the cache, and its size, are multiples of a sector."""
    for path, size in files:
        for offset in range(0, size - BLOCK_BYTES + 1, BLOCK_BYTES):
            if count <= 0:
                return
            count -= 1
            yield path, offset


def _side_by_side(blocks: _Blocks, count: int) -> None:
    readers = [threading.Thread(target=_read_all, args=(blocks,), daemon=True) for _ in range(count)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()


def _read_all(blocks: _Blocks) -> None:
    with mmap.mmap(-1, BLOCK_BYTES) as buffer:
        try:
            while place := blocks.take():
                size, direct = _read(*place, buffer)
                blocks.add(size, direct=direct)
        except OSError as error:
            blocks.fail(error)


def _read(path: Path, offset: int, buffer: mmap.mmap) -> tuple[int, bool]:
    """Bytes read, and whether past the cache; some file systems have no such reads."""
    try:
        return _read_with(os.O_DIRECT, path, offset, buffer), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return _read_with(0, path, offset, buffer), False


def _read_with(flag: int, path: Path, offset: int, buffer: mmap.mmap) -> int:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flag)
    try:
        return os.preadv(handle, [buffer], offset)
    finally:
        os.close(handle)
