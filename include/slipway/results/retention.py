"""Raw rows and evidence age out; the cells made of them stay in the store."""

from __future__ import annotations

import shutil
from pathlib import Path

DAY_S = 86400.0


def age_out(folder: Path, keep_days: float, now: float) -> list[str]:
    """Remove the folders ``run-ID`` in which nothing was written for ``keep_days``; answers their names.

    ``now`` is in seconds since 1970. With 0 days nothing is removed. Two may do this at once.
    """
    if not keep_days:
        return []
    runs = [path for path in sorted(folder.glob("run-*")) if path.is_dir() and not path.is_symlink()]
    old = [run for run in runs if _written_at(run) < now - keep_days * DAY_S]
    for run in old:
        shutil.rmtree(run, ignore_errors=True)
    return [run.name for run in old]


def _written_at(folder: Path) -> float:
    """When anything in it was last written, in seconds since 1970; what vanishes meanwhile is old."""
    return max(_modified_at(path) for path in [folder, *folder.rglob("*")])


def _modified_at(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
