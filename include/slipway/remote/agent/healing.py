"""Why a server ended unasked, and whether it helps to start it again. Pure, but for two looks at the host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from slipway.remote.agent.wanted import Restart

WEDGED, SIGNAL, UNKNOWN, KERNEL_OOM = "wedged", "signal", "unknown", "kernel-oom"
"""Causes that no log names; the last is the catalogue's name for what the kernel's counter shows."""

OOM_RECENT_S = 30.0
"""So long before the end may the kernel have killed a part: the rest of a server ends within seconds."""

LONGEST_SAID = 1 << 18
VMSTAT = Path("/proc/vmstat")


class Verdict(NamedTuple):
    """The cause of an end, and why no restart would help; empty where one may."""

    cause: str
    against: str


def judged(restart: Restart, restarts: Sequence[Mapping[str, Any]], cause: str, at: float) -> Verdict:
    """Whether a server that was ready is started again, at ``at`` seconds since 1970. Pure."""
    recent = [entry for entry in restarts if entry["at"] >= at - restart.window_s]
    same = [entry for entry in recent if entry.get("cause") == cause]
    times = next((each.times for each in restart.causes if each.id == cause), restart.times)
    if not restart.times:
        return Verdict(cause, "it is not to be started again by itself")
    if not times:
        return Verdict(cause, "a restart does not help")
    if len(recent) >= restart.times:
        return Verdict(cause, f"started again {len(recent)} times in {restart.window_s:g} s")
    if len(same) >= times:
        return Verdict(cause, f"for this cause started again {len(same)} times in {restart.window_s:g} s")
    return Verdict(cause, "")


def cause_of(restart: Restart, said: str, *, number: int | None, killed_for_memory: bool) -> str:
    """The cause by the kernel's word, by what the server said last, or by the signal that ended it. Pure."""
    if killed_for_memory:
        return KERNEL_OOM
    known = next((each.id for each in restart.causes if each.pattern.search(said)), None)
    return known or (UNKNOWN if number is None else SIGNAL)


class KernelKills:
    """The kernel's own count of what it killed for want of memory on this host. Not every kernel has it."""

    def __init__(self) -> None:
        self._count = _killed()
        self._rose_at = -OOM_RECENT_S

    def look(self) -> bool:
        """Whether it killed something just now."""
        count = _killed()
        if count > self._count:
            self._count, self._rose_at = count, time.monotonic()
        return time.monotonic() - self._rose_at < OOM_RECENT_S


def log_end(path: Path, begin: int) -> str:
    """The end of a log, of what was said from byte ``begin`` on."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(begin, file.tell() - LONGEST_SAID))
        return file.read().decode(errors="replace")


def _killed() -> int:
    with contextlib.suppress(OSError):
        for line in VMSTAT.read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
