"""Which chunks of a copy are on the disk, with their digests: a file that only grows, so that a killed copy resumes.

The first line names the copy; each other line is a chunk's number, its digest and a checksum of both. A line that was
torn or changed is as good as none.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

from slipway.remote.weights.blocks import settle, settle_folder
from slipway.remote.weights.chunks import Chunk

LONGEST_STRETCH_BYTES = 1024**3
STRETCHES = 200


class Journal:
    """The journal of one copy into ``target``; safe to use from several threads.

    Chunks are written down once half a percent of the model, or a GiB, has come together, and only after the files that
    they belong to were brought to the disk. So a killed copy loses at most one percent, and what was under way.
    """

    def __init__(self, path: Path, title: str, target: Path, total_bytes: int) -> None:
        """``title`` has no line break; what is found under another title is forgotten. Raises OSError."""
        self.digests = _load_digests(path, title)
        self._target = target
        self._stretch_bytes = min(LONGEST_STRETCH_BYTES, total_bytes // STRETCHES)
        self._pending: list[tuple[Chunk, str]] = []
        self._pending_bytes = 0
        self._adding = threading.Lock()
        self._writing = threading.Lock()
        self._fd = _rewritten(path, title, self.digests)

    def close(self) -> None:
        os.close(self._fd)

    def add(self, chunk: Chunk, digest: str) -> None:
        """A chunk was written to its file. Raises OSError."""
        with self._adding:
            self._pending.append((chunk, digest))
            self._pending_bytes += chunk.length
            full = self._pending_bytes >= self._stretch_bytes
        if full:
            self.flush()

    def flush(self) -> None:
        """Bring what was added to the disk and write it down. Raises OSError."""
        with self._writing:
            with self._adding:
                added, self._pending, self._pending_bytes = self._pending, [], 0
            for name in {chunk.name for chunk, _ in added}:
                settle(self._target / name)
            os.write(self._fd, "".join(_line(chunk.number, digest) for chunk, digest in added).encode())
            os.fdatasync(self._fd)
            self.digests.update((chunk.number, digest) for chunk, digest in added)


def parse_journal(lines: Iterable[str], title: str) -> dict[int, str]:
    """Chunk number -> digest; a later line replaces an earlier one, a broken one is left out."""
    found: dict[int, str] = {}
    for position, line in enumerate(lines):
        if position == 0:
            if line != title:
                return {}
            continue
        body, _, checksum = line.rpartition(" ")
        if checksum == _checksum(body):
            number, digest = body.split(" ")
            found[int(number)] = digest
    return found


def _load_digests(path: Path, title: str) -> dict[int, str]:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return {}
    return parse_journal(text.split("\n"), title)


def _rewritten(path: Path, title: str, digests: dict[int, str]) -> int:
    """The journal written anew without its broken lines, open for appending."""
    beside = path.with_name(f"{path.name}.new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, "".join([title, "\n", *(_line(*pair) for pair in digests.items())]).encode())
        os.fdatasync(fd)
        beside.replace(path)
        settle_folder(path.parent)
    except OSError:
        os.close(fd)
        raise
    return fd


def _line(number: int, digest: str) -> str:
    body = f"{number} {digest}"
    return f"{body} {_checksum(body)}\n"


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
