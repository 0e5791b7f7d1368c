"""A version brought into the page cache, so that the server which starts next reads it from memory."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slipway.remote.weights.manifest import Manifest

MEMORY_FOR_A_BYTE = 1.3
"""So many bytes of free memory for each byte of the model: what else runs must not be pressed."""

READ_BYTES = 4 * 1024**2
THREADS = 4


def fits_memory(size: int) -> bool:
    """Whether the page cache can hold a model of ``size`` bytes beside what runs."""
    return available_bytes() > MEMORY_FOR_A_BYTE * size


def available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def warm_files(folder: Path, manifest: Manifest) -> None:
    """Read every file once, in the order of the names. Raises OSError."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda file: _read(folder / file.name), manifest.files))


def _read(path: Path) -> None:
    buffer = bytearray(READ_BYTES)
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while file.readinto(buffer):
            pass
