"""The kit: Slipway's own programs for a host, as one file that its bare ``python3`` runs.

It is made from the sources of :mod:`slipway.remote`, read as data, and named by a digest of its bytes: two versions of
Slipway can work on one host, each with its own kit.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from slipway.errors import CommandFailed, HostError
from slipway.shell import Command, Result
from slipway.spec.layout import Layout

REFUSED = 3
"""The exit code of a program of the kit that refuses; it says why as ``{"error", "hint"}``."""

WRITE = """\
import hashlib, os, sys, tempfile

def write(path, data, mode):
    os.umask(0o022)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".slipway-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise

path, digest, mode = sys.argv[1:]
data = sys.stdin.buffer.read()
if hashlib.sha256(data).hexdigest() != digest:
    sys.exit("%s: only %d bytes arrived; nothing was written" % (path, len(data)))
try:
    write(path, data, int(mode, 8))
except OSError as error:
    sys.exit("%s: %s" % (error.filename or path, error.strerror))
"""

MAIN = """\
import json
import sys

if sys.version_info < (3, 9):
    error = "python3 of this host is %d.%d, too old for Slipway" % tuple(sys.version_info[:2])
    hint = "put a Python 3.9 or newer first on the PATH of a login"
    sys.stdout.write(json.dumps({"error": error, "hint": hint}) + "\\n")
    sys.exit(3)

from slipway.remote.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


@functools.cache
def archive() -> bytes:
    """The kit's bytes. The same sources give the same bytes, on any machine: nothing is compressed, no time is kept."""
    packed = sources(files("slipway").joinpath("remote"), "slipway/remote")
    return pack({"__main__.py": MAIN.encode(), "slipway/__init__.py": b"", **packed})


@functools.cache
def digest() -> str:
    """Names the kit: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(archive()).hexdigest()[:12]


def installed(root: str) -> Command:
    """Ends with 0 where this kit is on the host."""
    return Command(("test", "-f", Layout(root).kit(digest())))


def install(root: str) -> Command:
    """Put this kit onto the host; doing it again changes nothing."""
    return write(Layout(root).kit(digest()), archive())


def write(path: str, data: bytes, *, mode: int = 0o644) -> Command:
    """Write a file whole or not at all, also where the connection breaks on the way; its folders are made."""
    argv = ("python3", "-c", WRITE, path, hashlib.sha256(data).hexdigest(), f"{mode:o}")
    return Command(argv, stdin=data)


def call(
    root: str, program: str, verb: str, request: Mapping[str, object], *, timeout_s: float = 60, secret: bool = False
) -> Command:
    """Ask a program of the kit on the host. :func:`reply` reads what it answers."""
    asked = json.dumps(request, sort_keys=True, separators=(",", ":")).encode()
    argv = ("python3", Layout(root).kit(digest()), program, verb)
    return Command(argv, stdin=asked, timeout_s=timeout_s, secret=secret)


def spoken(command: Command) -> bool:
    """Whether a command asks this kit, so that its answer is for :func:`reply`."""
    return len(command.argv) == 4 and command.argv[1].endswith(f"/kit/{digest()}.pyz")


def reply(result: Result) -> dict[str, Any]:
    """The JSON object that a program of the kit answered.

    Raises HostError with the program's own reason and hint where it refused, CommandFailed where it broke.
    """
    said = _last_object(result.stdout)
    if result.ok and said is not None:
        return said
    if result.returncode == REFUSED and said is not None and "error" in said:
        raise HostError(result.host, str(said["error"]), hint=str(said.get("hint") or ""))
    if result.ok:
        raise HostError(result.host, f"no answer in: {result.stdout[:300]!r}", hint="does a logout script print there?")
    missing = "can't open file" in result.stderr
    raise CommandFailed(result, hint="the kit is not on the host: install it, then ask again" if missing else "")


def sources(folder: Traversable, name: str) -> dict[str, bytes]:
    """Every Python file below a folder, sorted, under ``name`` instead of the folder's own path."""
    return dict(sorted(_sources(folder, name)))


def pack(members: Mapping[str, bytes]) -> bytes:
    """A zip that has the same bytes for the same members."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(_member(name), data)
    return packed.getvalue()


def _sources(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _sources(entry, f"{name}/{entry.name}")
        elif entry.name.endswith(".py"):
            yield f"{name}/{entry.name}", entry.read_bytes()


def _last_object(text: str) -> dict[str, Any] | None:
    """The last line as a JSON object: a login script may have spoken before."""
    lines = text.strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.create_system = 3
    member.external_attr = 0o644 << 16
    return member
