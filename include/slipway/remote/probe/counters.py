"""What the processes of a role have used up: whether a silent one works can be seen from how its counters go on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slipway.remote.agent.role import Role, folder_of
from slipway.remote.probe.gpus import gpus
from slipway.remote.processes import look
from slipway.remote.request import Request

TITLE_BYTES = 64


def counters(request: Request) -> dict[str, Any]:
    """The processes of ``roles`` below ``folder`` as their agents saw them last, with CPU seconds and bytes read.

    ``gpu_memory_bytes`` is what all GPUs of the host have in use, None where there is none or the driver is silent.
    """
    folder = folder_of(request)
    memory = [gpu["memory_used_bytes"] for gpu in gpus()["gpus"]]
    return {
        "processes": [each for name in request.texts("roles") for each in _processes(Role(folder, name))],
        "gpu_memory_bytes": sum(memory) if memory and None not in memory else None,
        "utc_offset_s": time.localtime().tm_gmtoff,
    }


def _processes(role: Role) -> Iterator[dict[str, Any]]:
    for seen in role.recorded():
        process = look(seen.pid)
        if process is None or process.began != seen.began or not process.alive:
            continue
        used = _used(Path("/proc") / str(seen.pid))
        if used is not None:
            yield {"role": role.name, "pid": seen.pid, "began": seen.began, "parent": process.parent, **used}


def _used(place: Path) -> dict[str, Any] | None:
    """``title`` is the name that the process goes by; ``cpu_s`` has that of children that have ended; ``read_bytes``
    counts what came from disks, or from anywhere by read(), whichever is more. None where it has ended meanwhile."""
    try:
        fields = (place / "stat").read_bytes().rpartition(b")")[2].split()
        title = (place / "cmdline").read_bytes().split(b"\0")[0][:TITLE_BYTES]
    except OSError:
        return None
    ticks = sum(map(int, fields[11:15]))
    return {
        "title": title.decode(errors="replace"),
        "cpu_s": ticks / os.sysconf("SC_CLK_TCK"),
        "read_bytes": _read_bytes(place / "io"),
    }


def _read_bytes(path: Path) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    counts = {name: int(value) for name, _, value in (line.partition(":") for line in lines)}
    return max(counts.get("read_bytes", 0), counts.get("rchar", 0))
