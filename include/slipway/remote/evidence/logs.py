"""The ends of log files: those of a deployment's roles, and of its own Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from slipway.remote.agent.role import Role

Log = tuple[str, str]
"""A name and the end of the text."""

LOOKED_AT = ("raylet.err", "gcs_server.err", "raylet.out", "gcs_server.out")
"""Ray's logs that are taken first; then those of its workers, the newest first."""
RAY_LOGS = 12


def tail(path: Path, limit_bytes: int) -> str:
    """The end of a file, from the beginning of a line on; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - limit_bytes))
            part = file.read(limit_bytes)
    except OSError:
        return ""
    cut = part.find(b"\n") + 1 if size > limit_bytes else 0
    return part[cut:].decode(errors="replace")


def role_logs(roles: list[Role], limit_bytes: int) -> Iterator[Log]:
    """Each role's log, and that of the start before."""
    for role in roles:
        yield f"{role.name}.log", tail(role.log_path, limit_bytes)
        if (role.path / "log.1").exists():
            yield f"{role.name}.log.1", tail(role.path / "log.1", limit_bytes // 4)


def ray_logs(folder: Path, since: float, limit_bytes: int) -> Iterator[Log]:
    """Of the deployment's own Ray, by its folder: the logs of its last session that were written since a time."""
    place = folder / "session_latest" / "logs"
    found = [path for path in place.glob("*") if path.suffix in (".err", ".out", ".log") and _written(path) >= since]
    found.sort(key=lambda path: (_place(path.name), -_written(path)))
    for path in found[:RAY_LOGS]:
        if text := tail(path, limit_bytes):
            yield f"ray/{path.name}", text


def _place(name: str) -> int:
    if name in LOOKED_AT:
        return LOOKED_AT.index(name)
    return len(LOOKED_AT) + (not name.startswith("worker-"))


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
