"""This host as a machine: interpreter, programs, processors, memory, disks, limits."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from slipway.remote.probe.gpus import gpus
from slipway.remote.processes import boot_id
from slipway.remote.request import Request

VERSION_TIMEOUT_S = 10
CAP_IPC_LOCK = 14
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written to


def machine(request: Request) -> dict[str, Any]:
    """Everything at once. ``paths`` are the disks to look at, ``commands`` the programs; sizes in bytes."""
    disks = {path: disk(Path(path)) for path in request.texts("paths")}
    return {
        "hostname": platform.node(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "python_path": sys.executable,
        "commands": {name: program(name) for name in request.texts("commands")},
        "cpus": len(os.sched_getaffinity(0)),
        "cpu_model": _cpu_model(),
        "memory": _memory(),
        "disks": disks,
        "shared_memory": disk(SHARED_MEMORY) if SHARED_MEMORY.exists() else None,
        "limits": {"nofile": _limit(resource.RLIMIT_NOFILE), "memlock_bytes": _limit(resource.RLIMIT_MEMLOCK)},
        "locks_freely": _locks_freely(),
        "time": time.time(),
        "boot_id": boot_id(),
        **gpus(),
    }


def program(name: str) -> dict[str, Any] | None:
    """Where a program is and the first line of what it says to ``--version``; None where it is not found."""
    path = shutil.which(name)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {"path": path, "version": None}
    said = done.stdout.decode(errors="replace").strip().splitlines()
    return {"path": path, "version": said[0] if said and done.returncode == 0 else None}


def disk(path: Path) -> dict[str, Any]:
    """Space of the file system that ``path`` lies on, or would: the nearest parent that is there is looked at."""
    place = next(place for place in (path, *path.parents) if os.access(place, os.F_OK))
    seen = os.statvfs(place)
    return {
        "looked_at": str(place),
        "device": place.stat().st_dev,
        "free_bytes": seen.f_bavail * seen.f_frsize,
        "total_bytes": seen.f_blocks * seen.f_frsize,
        "writable": os.access(place, os.W_OK | os.X_OK),
    }


def _memory() -> dict[str, int]:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    sizes = {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)}
    return {"total_bytes": sizes["MemTotal"], "available_bytes": sizes["MemAvailable"]}


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _locks_freely() -> bool:
    """Whether the limit on locked memory does not bind this user (CAP_IPC_LOCK)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_IPC_LOCK & 1)
    return False


def _limit(which: int) -> dict[str, int | None]:
    soft, hard = (None if value == resource.RLIM_INFINITY else value for value in resource.getrlimit(which))
    return {"soft": soft, "hard": hard}
