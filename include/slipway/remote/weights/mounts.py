"""Which file system a path lies on."""

from __future__ import annotations

import os
import re
from pathlib import Path

NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "fuse", "gpfs", "lustre", "nfs", "nfs4", "smb3", "virtiofs", "wekafs"}
)
MOUNTINFO = Path("/proc/self/mountinfo")


def is_network(path: Path) -> bool:
    """Whether reads of a path go over a network, as far as the file system's type tells."""
    return file_system(path, MOUNTINFO.read_text(errors="surrogateescape")).split(".")[0] in NETWORK


def file_system(path: Path, mountinfo: str) -> str:
    """The type of the file system that holds a path, such as ``ext4`` or ``nfs4``, from the text of mountinfo."""
    real = os.path.realpath(path)
    best, found = "", ""
    for line in mountinfo.splitlines():
        mount, _, system = line.partition(" - ")
        point = _unescaped(mount.split(" ")[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, found = point, system.split(" ")[0]
    return found


def _unescaped(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
