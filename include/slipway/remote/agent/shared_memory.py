"""What a role's processes leave in ``/dev/shm``: their segments outlive an engine that is killed.

A file there is ours where a process of the role was seen to map it or hold it open, it was not there before the role
began, and nobody but this user may open it. It is removed once no living process has it any more.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from slipway.remote.agent.role import Role
from slipway.remote.processes import PROC, Process, boot_id, table

PLACE = Path("/dev/shm")  # noqa: S108 - nothing is written there, and what is removed is known by its inode
LOOK_EVERY_S = 10.0


class Segment(NamedTuple):
    """A file directly in ``/dev/shm``. Another one that takes its name has another inode."""

    name: str
    device: int
    inode: int


class SharedMemory:
    """The segments of one role, in its folder too, so that they are found after the agent's death."""

    def __init__(self, role: Role, before: Iterable[Segment], ours: Iterable[Segment] = ()) -> None:
        self._role = role
        self._before = frozenset(before)
        self._ours = self._written = frozenset(ours)
        self._looked_at = time.monotonic()

    @classmethod
    def begin(cls, role: Role) -> SharedMemory:
        """Of a role before its first step: whatever is there now is not its own."""
        memory = cls(role, segments())
        memory._write()
        return memory

    @classmethod
    def recorded(cls, role: Role) -> SharedMemory:
        """As it was written down last. Nothing of another boot is ours."""
        record = role.shared_memory()
        if record is None or record["boot_id"] != boot_id():
            return cls(role, segments())
        before, ours = ([Segment(*entry) for entry in record[name]] for name in ("before", "ours"))
        return cls(role, before, ours)

    def watch(self, members: Iterable[Process]) -> None:
        """Look, if the last look is ten seconds ago: one that is killed cannot be asked later."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self.look(members)

    def look(self, members: Iterable[Process]) -> None:
        """Find what the living processes of the role have. Costs no more than a listing where nothing is new."""
        fresh = segments() - self._before - self._ours
        if fresh:
            self._ours |= held(members, fresh)
        self._looked_at = time.monotonic()
        if self._ours != self._written:
            self._write()

    def remove(self) -> None:
        """Remove what no living process has any more; the rest stays written down for the next time."""
        there = self._ours & segments()
        in_use = held(table().values(), there) if there else set()
        for segment in (there - in_use) & segments():
            with contextlib.suppress(OSError):
                (PLACE / segment.name).unlink()
        self._ours &= segments()
        if self._ours != self._written:
            self._write()

    def _write(self) -> None:
        """A full disk must not end the agent: it tries again after the next look."""
        with contextlib.suppress(OSError):
            record = {"boot_id": boot_id(), "before": sorted(self._before), "ours": sorted(self._ours)}
            self._role.record_shared_memory(record)
            self._written = self._ours


def segments() -> frozenset[Segment]:
    """The files directly in ``/dev/shm`` that are this user's, and that nobody else may open."""
    try:
        with os.scandir(PLACE) as entries:
            return frozenset(_private(entries))
    except OSError:
        return frozenset()


def held(processes: Iterable[Process], wanted: Collection[Segment]) -> set[Segment]:
    """Those of ``wanted`` that a process maps or has open, as far as this user may see."""
    by_inode = {(segment.device, segment.inode): segment for segment in wanted}
    by_text = {_as_mapped(segment): segment for segment in wanted}
    names = {segment.name for segment in wanted}
    found: set[Segment] = set()
    for process in processes:
        with contextlib.suppress(OSError):
            found.update(by_text[key] for key in _mapped(process.pid) & by_text.keys())
        with contextlib.suppress(OSError):
            found.update(by_inode[key] for key in _opened(process.pid, names) if key in by_inode)
    return found


def _private(entries: Iterator[os.DirEntry[str]]) -> Iterator[Segment]:
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            seen = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o077:
                yield Segment(entry.name, seen.st_dev, seen.st_ino)


def _as_mapped(segment: Segment) -> tuple[bytes, bytes]:
    """Device and inode as a line of ``/proc/PID/maps`` has them."""
    device = f"{os.major(segment.device):02x}:{os.minor(segment.device):02x}"
    return device.encode(), str(segment.inode).encode()


def _mapped(pid: int) -> set[tuple[bytes, bytes]]:
    lines = (PROC / str(pid) / "maps").read_bytes().splitlines()
    return {(fields[3], fields[4]) for fields in (line.split(None, 5) for line in lines)}


def _opened(pid: int, names: Collection[str]) -> Iterator[tuple[int, int]]:
    """Only what bears one of the names is looked at: a look at a file of a dead network mount would hang."""
    with os.scandir(PROC / str(pid) / "fd") as handles:
        for handle in handles:
            with contextlib.suppress(OSError):
                link = Path(handle.path)
                if link.readlink().name in names:
                    seen = link.stat()
                    yield seen.st_dev, seen.st_ino
