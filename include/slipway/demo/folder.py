"""A model's folder that is either whole or not there: written beside its place, marked, and moved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slipway.errors import SlipwayError

MARKER = ".slipway-demo.json"
FORMAT = 1


def make_folder(out: Path, source: dict[str, Any], write: Callable[[Path], None]) -> bool:
    """Let ``write`` fill a folder beside ``out`` and move it there, marked with ``source``; True if anything was done.

    A folder that already bears the same mark and has all its files is left alone; one with another mark is replaced.
    One without a mark is not ours: SlipwayError.
    """
    if _whole(out, source):
        return False
    if out.exists() and not (out / MARKER).is_file():
        raise SlipwayError(f"{out}: exists and was not made by Slipway", hint="give another folder, or move it away")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    write_json(partial / MARKER, {"format": FORMAT, **source, "files": _sizes(partial)})
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return True


def _whole(folder: Path, source: dict[str, Any]) -> bool:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(marker == {"format": FORMAT, **source, "files": _sizes(folder)})


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != MARKER}


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
