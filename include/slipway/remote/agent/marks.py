"""The mark that every process of a role inherits in its environment: whose it is, and of which start.

A process may lose it (one that writes a title over it, say), but none has it by chance. Where it is there, it is proof.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from slipway.remote.processes import look

NAME = "SLIPWAY_ROLE"


def fresh_mark(place: Path) -> str:
    """A mark for one start of the role whose folder is ``place``."""
    return f"{place}#{secrets.token_hex(8)}"


def own_mark() -> str:
    """The mark that this process was started with."""
    return os.environ[NAME]


def nearest_mark(pid: int | None) -> str | None:
    """The mark of a process, or of the nearest one that it descends from: a title, as vLLM's, may lie over its own."""
    while pid and (process := look(pid)) is not None:
        if mark := mark_of(pid):
            return mark
        pid = process.parent
    return None


def mark_of(pid: int) -> str | None:
    """The mark of another process; None where it has none, or this user may not see it."""
    try:
        environ = (Path("/proc") / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    prefix = f"{NAME}=".encode()
    return next((os.fsdecode(entry[len(prefix) :]) for entry in environ.split(b"\0") if entry.startswith(prefix)), None)
