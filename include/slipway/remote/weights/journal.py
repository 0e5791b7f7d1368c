"""Which chunks of a copy are in their files, with their digests: a file that only grows, so that a killed copy resumes.

The first line names the copy; each other line is a chunk's number, its digest and a checksum of both. A line that was
torn or changed is as good as none. What a journal says is no proof: whoever resumes reads the chunk back.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

from slipway.remote.weights.blocks import settle, settle_folder
from slipway.remote.weights.chunks import Chunk

STRETCH_BYTES = 1024**3


class Journal:
    """The journal of one copy into ``target``; safe to use from several threads.

    A chunk is written down as soon as it is in its file, so a killed process loses what was under way and no more.
    Every GiB is brought to the disk, so a host that loses its power loses little more than that.
    """

    def __init__(self, path: Path, title: str, target: Path) -> None:
        """``title`` has no line break; what is found under another title is forgotten. Raises OSError."""
        self.digests = _load_digests(path, title)
        self._target = target
        self._unsettled: set[str] = set()
        self._unsettled_bytes = 0
        self._adding = threading.Lock()
        self._fd = _rewritten(path, title, self.digests)

    def close(self) -> None:
        os.close(self._fd)

    def add(self, chunk: Chunk, digest: str) -> None:
        """A chunk was written to its file. Raises OSError."""
        with self._adding:
            os.write(self._fd, _line(chunk.number, digest).encode())
            self.digests[chunk.number] = digest
            due = self._due(chunk)
        for name in due:
            settle(self._target / name)
        if due:
            os.fdatasync(self._fd)

    def _due(self, chunk: Chunk) -> set[str]:
        """The files to bring to the disk, once a stretch has come together."""
        self._unsettled.add(chunk.name)
        self._unsettled_bytes += chunk.length
        if self._unsettled_bytes < STRETCH_BYTES:
            return set()
        due, self._unsettled, self._unsettled_bytes = self._unsettled, set(), 0
        return due


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
