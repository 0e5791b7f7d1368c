"""How fast the disk under a model store is written and read: a file of its own, that is removed again."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slipway.remote.probe.reading import reading
from slipway.remote.request import Request
from slipway.remote.weights.blocks import BlockFile, aligned_buffer, settle
from slipway.remote.weights.versions import free_bytes

BLOCK_BYTES = 16 * 1024**2
THREADS = 4
SPARE_SPACE = 4
"""At most one in so many of the free bytes is written."""


def measure_disk(store: Path, seconds: float, limit_bytes: int) -> dict[str, float | None]:
    """Write at most ``seconds`` and ``limit_bytes``, then read: bytes a second of both. None where nothing fits."""
    folder = store / ".measured"
    folder.mkdir(parents=True, exist_ok=True)
    blocks = min(limit_bytes, free_bytes(store) // SPARE_SPACE) // BLOCK_BYTES // THREADS
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            written = sum(pool.map(lambda name: _write(folder / str(name), blocks, began + seconds), range(THREADS)))
        wrote_s = time.monotonic() - began
        read = reading(Request({"folder": str(folder), "seconds": seconds, "limit_bytes": limit_bytes}))
    finally:
        shutil.rmtree(folder)
    return {
        "written_bytes_per_s": written / wrote_s if written else None,
        "read_bytes_per_s": read["bytes"] / read["seconds"] if read["bytes"] else None,
    }


def _write(path: Path, blocks: int, deadline: float) -> int:
    """Random bytes: zeros may cost a disk less. Answers how many are on the disk."""
    block = aligned_buffer(BLOCK_BYTES)
    block[:] = os.urandom(BLOCK_BYTES)
    file, count = BlockFile(path, os.O_WRONLY | os.O_CREAT), 0
    try:
        while count < blocks and time.monotonic() < deadline:
            file.write(block, count * BLOCK_BYTES, BLOCK_BYTES)
            count += 1
    finally:
        file.close()
    settle(path)
    return count * BLOCK_BYTES
