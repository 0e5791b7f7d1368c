"""The program ``files``: small files of Slipway's on a host, always replaced whole and never half written."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slipway.remote.refusal import Refused
from slipway.remote.request import Request

PRIVATE = 0o600
LONGEST_READ = 1 << 20
LARGEST_PART = 64 << 20


def write(request: Request) -> dict[str, Any]:
    """Put ``text`` at ``path`` with ``mode``: octal digits or a number, "0644" unless told.

    Parents are made, with 0755, or 0700 for a private file.
    """
    path, data, mode = _path(request, "path"), request.text("text").encode(), _mode(request)
    if path.is_dir():
        raise request.wrong("path", f"{path} is a folder")
    make_folder(path.parent, 0o700 if mode == PRIVATE else 0o755)
    if _is(path, data, mode):
        return {"changed": False}
    replace(path, data, mode)
    return {"changed": True}


def compare(request: Request) -> dict[str, Any]:
    """Whether a file is just as :func:`write` would leave it: what it holds is not told."""
    path = _path(request, "path")
    same = _is(path, request.text("text").encode(), _mode(request))
    return {"exists": os.path.lexists(path), "same": same}


def read(request: Request) -> dict[str, Any]:
    """The first ``limit`` bytes of a file; one that is not there is an answer, not an error."""
    path = _path(request, "path")
    limit = request.integer("limit", 1 << 16, high=LONGEST_READ)
    if not path.exists():
        return {"exists": False, "text": None, "size": 0, "mode": None}
    seen = path.stat()
    if not stat.S_ISREG(seen.st_mode):
        raise request.wrong("path", f"{path} is no regular file")
    with path.open("rb") as file:
        text = file.read(limit).decode(errors="replace")
    return {"exists": True, "text": text, "size": seen.st_size, "mode": f"{stat.S_IMODE(seen.st_mode):04o}"}


def part(request: Request) -> dict[str, Any]:
    """At most ``limit`` bytes of a file from byte ``offset`` on, compressed (zlib) and in base64, and where the next
    part begins."""
    path = _path(request, "path")
    offset, limit = request.integer("offset", 0), request.integer("limit", 1 << 20, low=1, high=LARGEST_PART)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(offset)
        data = file.read(limit)
    packed = base64.b64encode(zlib.compress(data, 1)).decode()
    return {"data": packed, "offset": offset + len(data), "size": size}


def link(request: Request) -> dict[str, Any]:
    """Make ``path`` a symbolic link to ``target``, in one step where it was another link."""
    path, target = _path(request, "path"), request.text("target")
    if path.is_symlink() and str(path.readlink()) == target:
        return {"changed": False}
    if path.exists() and not path.is_symlink():
        raise request.wrong("path", f"{path} is there and is no link; it is left as it is")
    make_folder(path.parent, 0o755)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".slipway-") as beside:
        fresh = Path(beside) / "link"
        fresh.symlink_to(target)
        fresh.replace(path)
    return {"changed": True}


def remove(request: Request) -> dict[str, Any]:
    """Remove the file or tree ``path``, only where it truly lies below the folder ``below``.

    Of a link, the link itself is removed, not what it points to.
    """
    path, below = _path(request, "path"), _path(request, "below").resolve()
    place = path.parent.resolve() / path.name
    if below == Path("/") or below not in place.parents:
        raise Refused(f"{place} does not lie below {below}", "nothing was removed")
    if not os.path.lexists(place):
        return {"changed": False}
    if place.is_dir() and not place.is_symlink():
        remove_tree(place)
    else:
        place.unlink(missing_ok=True)
    return {"changed": True}


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it. What another removes meanwhile is gone, which is what was asked."""
    shutil.rmtree(folder, onerror=_unless_gone)


def _unless_gone(_act: object, _path: str, caught: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(caught[1], FileNotFoundError):
        raise caught[1]


def replace(path: Path, data: bytes, mode: int, *, durable: bool = True) -> None:
    """Replace a file whole. ``durable`` waits until it would outlast a power cut; its folder must be there."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".slipway-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(handle)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder and its parents, each with ``mode``; those that are there stay as they are."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        place.chmod(mode)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is(path: Path, data: bytes, mode: int) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    return stat.S_IMODE(path.stat().st_mode) == mode and path.read_bytes() == data


def _path(request: Request, name: str) -> Path:
    path = Path(request.text(name))
    if not path.is_absolute() or ".." in path.parts or path == Path("/"):
        raise request.wrong(name, f"{str(path)!r} is no absolute path of a file or folder without '..'")
    return path


def _mode(request: Request) -> int:
    if isinstance(request.get("mode"), int):
        return request.integer("mode", high=0o777)
    text = request.text("mode", "0644")
    if not 3 <= len(text) <= 4 or not set(text) <= set("01234567") or int(text, 8) > 0o777:
        raise request.wrong("mode", f"{text!r} is not octal, like 0644")
    return int(text, 8)


VERBS: Mapping[str, Any] = {
    "compare": compare,
    "link": link,
    "part": part,
    "read": read,
    "remove": remove,
    "write": write,
}
