"""The host itself around a failure: its kernel's words on memory and GPUs, nvidia-smi, disks, our processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from slipway.remote.agent.role import Role
from slipway.remote.evidence.secrets import struck_argv, struck_env
from slipway.remote.processes import Process, table

TELLING = re.compile(r"Out of memory|oom[-_ ]kill|Killed process|NVRM|Xid|I/O error|segfault", re.IGNORECASE)
STAMP = re.compile(r"^\[\s*(\d+\.\d+)\]")
DMESG_S = 2
SMI_S = 4


def kernel_lines(since: float, now: float) -> tuple[list[str], str]:
    """What the kernel said of memory, GPUs and disks since a time; and why there is nothing to read, or empty."""
    said, error = _said(["dmesg"], DMESG_S)
    if error:
        return [], error
    up_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    earliest = up_s - (now - since)
    return [line for line in said.splitlines() if TELLING.search(line) and _at(line) >= earliest], ""


def nvidia_smi() -> str:
    """What nvidia-smi shows, or that it is not there, or why it gave nothing."""
    if shutil.which("nvidia-smi") is None:
        return "nvidia-smi is not on this host\n"
    said, error = _said(["nvidia-smi"], SMI_S)
    return said or f"nvidia-smi: {error}\n"


def processes(roles: list[Role]) -> list[dict[str, Any]]:
    """Every living process of these roles' sessions."""
    seen = table()
    recorded = {each.session for role in roles for each in role.recorded()}
    sessions = recorded | {(role.state() or {}).get("session") for role in roles}
    return [_described(process) for process in seen.values() if process.session in sessions - {None, 0}]


def environment_of(pid: int) -> dict[str, str]:
    """A process's variables; none where they cannot be read."""
    try:
        words = (Path("/proc") / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (word.partition("=") for word in words) if name}


def _described(process: Process) -> dict[str, Any]:
    place = Path("/proc") / str(process.pid)
    try:
        argv = (place / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        pages = int((place / "statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        argv, pages = [], 0
    return {
        "pid": process.pid,
        "parent": process.parent,
        "session": process.session,
        "state": process.state,
        "memory_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "argv": struck_argv(argv),
        "env": struck_env(environment_of(process.pid)) if process.pid == process.session else None,
    }


def _at(line: str) -> float:
    """Seconds since the start of the host; a line without a stamp counts as of now."""
    stamp = STAMP.match(line)
    return float(stamp[1]) if stamp else float("inf")


def _said(argv: list[str], timeout_s: float) -> tuple[str, str]:
    """What a program said, and why it said nothing."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"cannot be read: {error}"
    if done.returncode:
        return "", f"cannot be read: {done.stderr.decode(errors='replace').strip() or f'exit code {done.returncode}'}"
    return done.stdout.decode(errors="replace"), ""
