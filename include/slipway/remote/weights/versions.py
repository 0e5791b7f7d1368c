"""The store of one model on a host: versions named by their manifest's digest, and the link ``current``.

::

    <store>/<digest>/                    a published version: the files, the manifest, and what it was made from
    <store>/current                      link to the newest version
    <store>/.lock                        held while somebody stages
    <store>/.partial-<fingerprint>/      a copy under way, and its journal beside it
    <store>/.hub-<fingerprint>/          a download under way
    <store>/.damaged-<digest>/           a version that was found damaged and is being replaced
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.remote.refusal import Refused
from slipway.remote.weights.blocks import settle_folder
from slipway.remote.weights.digests import SHA256
from slipway.remote.weights.listing import OWN_FILES
from slipway.remote.weights.manifest import MANIFEST, BadManifest, Manifest, load_manifest, parse_manifest

SOURCE_RECORD = "slipway-source.json"
DAMAGE_RECORD = "slipway-damaged.json"
VERSION = re.compile(r"[0-9a-f]{64}")
DAMAGED = re.compile(r"\.damaged-[0-9a-f]{64}")
PARTIAL = re.compile(r"\.(?:hub|partial)-([0-9a-f]{64})(\.journal(\.new)?)?")


@dataclass(frozen=True)
class Version:
    """A published copy of a model."""

    path: Path

    @property
    def digest(self) -> str:
        return self.path.name

    @property
    def record(self) -> dict[str, Any]:
        """What was written down of the source that it was made from; empty where that was lost."""
        with suppress(OSError, ValueError):
            found = json.loads((self.path / SOURCE_RECORD).read_bytes())
            return found if isinstance(found, dict) else {}
        return {}

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the source that it was made from; empty where that was lost."""
        return str(self.record.get("fingerprint", ""))

    @property
    def algorithm(self) -> str:
        """What the digests of its chunks are."""
        return str(self.record.get("algorithm", SHA256))

    @property
    def took(self) -> dict[str, Any]:
        """``seconds`` of the copy that made it, and ``copied_bytes`` in that attempt."""
        return {name: value for name, value in self.record.items() if name in ("seconds", "copied_bytes")}

    @property
    def used_at(self) -> float:
        """When it was staged or last brought to a server, in seconds since 1970."""
        with suppress(OSError):
            return (self.path / SOURCE_RECORD).stat().st_mtime
        return 0.0

    @property
    def shown(self) -> dict[str, Any]:
        """What the programs answer of it."""
        named = {"path": str(self.path), "digest": self.digest, "fingerprint": self.fingerprint}
        return {**named, "took": self.took}

    def made_from(self, fingerprint: str, digest: str, algorithm: str) -> bool:
        """Whether it was made from this source; where a digest is wanted, it must have that one, else digests of that
        algorithm."""
        wanted = self.digest == digest if digest else self.algorithm == algorithm
        return wanted and self.fingerprint == fingerprint

    def whole(self) -> bool:
        """Whether its manifest is untouched, each file has its size, and no verification found it damaged."""
        try:
            manifest = load_manifest(self.path)
            sizes_right = all((self.path / file.name).stat().st_size == file.size for file in manifest.files)
        except (OSError, BadManifest):
            return False
        return sizes_right and not (self.path / DAMAGE_RECORD).exists()


class ModelStore:
    """The versions of one model below ``path``. What changes it is called under :meth:`open_lock` only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def partial(self, fingerprint: str) -> Path:
        return self.path / f".partial-{fingerprint}"

    def journal(self, fingerprint: str) -> Path:
        return self.path / f".partial-{fingerprint}.journal"

    def overlap(self, source: Path) -> str:
        """What is wrong where the store and a source lie inside each other; empty where they do not."""
        one, other = source.resolve(), self.path.resolve()
        inside = one == other or one in other.parents or other in one.parents
        return f"the source {one} and the store {other} lie inside each other" if inside else ""

    @property
    def current(self) -> Version | None:
        """The version that the link ``current`` names, if there is one."""
        try:
            name = str((self.path / "current").readlink())
        except OSError:
            return None
        return Version(self.path / name) if VERSION.fullmatch(name) and (self.path / name).is_dir() else None

    @property
    def versions(self) -> list[Version]:
        """All published versions, by digest."""
        if not self.path.is_dir():
            return []
        return [Version(path) for path in sorted(self.path.iterdir()) if VERSION.fullmatch(path.name)]

    def made_from(self, fingerprint: str, digest: str, algorithm: str) -> Version | None:
        """A whole version that :meth:`Version.made_from` says was made from this source, if there is one."""
        return next((v for v in self.versions if v.made_from(fingerprint, digest, algorithm) and v.whole()), None)

    def manifest_made_from(self, fingerprint: str, algorithm: str) -> Manifest | None:
        """The manifest of a version that was made from this source, whole or not: what the source held then."""
        for version in self.versions:
            if version.made_from(fingerprint, "", algorithm):
                with suppress(OSError, BadManifest):
                    return load_manifest(version.path)
        return None

    @contextmanager
    def open_lock(self, wait_s: float) -> Iterator[None]:
        """Be the only one who stages into this store; whoever comes second waits.

        Raises Refused after ``wait_s``, or where the name of the link is taken by something else.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        link = self.path / "current"
        if link.exists() and not link.is_symlink():
            raise Refused(f"{link} is not a link, so it is not Slipway's to replace", "move it away, then stage again")
        fd = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _take_lock(fd, self.path, time.monotonic() + wait_s)
            yield
        finally:
            os.close(fd)

    def remove_stale(self, fingerprint: str) -> None:
        """Remove what interrupted stagings left, but for the partial copy of this fingerprint and its journal."""
        for path in self.path.iterdir():
            partial = PARTIAL.fullmatch(path.name)
            if partial and partial[1] != fingerprint:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif DAMAGED.fullmatch(path.name):
                with suppress(OSError, BadManifest):
                    discard(path, parse_manifest((path / MANIFEST).read_bytes()))
        if not self.partial(fingerprint).exists():
            self.journal(fingerprint).unlink(missing_ok=True)

    def publish(self, partial: Path, manifest: Manifest) -> Version:
        """Move a whole partial copy into place and make it the current version.

        A version of the same digest that is there already and whole stays, and the partial copy is dropped.
        """
        version = Version(self.path / manifest.digest)
        aside = self.path / f".damaged-{version.digest}"
        if version.whole():
            (partial / SOURCE_RECORD).replace(version.path / SOURCE_RECORD)
            shutil.rmtree(partial)
        else:
            if version.path.exists():
                version.path.rename(aside)
            partial.rename(version.path)
        settle_folder(self.path)
        self.make_current(version)
        discard(aside, manifest)
        return version

    def make_current(self, version: Version) -> None:
        """Let the link ``current`` name this version. Raises OSError."""
        beside = self.path / ".current.new"
        beside.unlink(missing_ok=True)
        beside.symlink_to(version.digest)
        beside.replace(self.path / "current")
        settle_folder(self.path)

    def remove(self, version: Version, manifest: Manifest) -> None:
        """Take a version out of sight at once, then remove its own files."""
        if self.current == version:
            (self.path / "current").unlink()
        aside = self.path / f".damaged-{version.digest}"
        version.path.rename(aside)
        settle_folder(self.path)
        discard(aside, manifest)


def discard(folder: Path, manifest: Manifest) -> None:
    """Remove a version's own files; a folder in which somebody else's file lies stays."""
    for name in (*OWN_FILES, *(file.name for file in manifest.files)):
        (folder / name).unlink(missing_ok=True)
    below = {parent for file in manifest.files for parent in (folder / file.name).parents if folder in parent.parents}
    for path in (*sorted(below, reverse=True), folder):
        with suppress(OSError):
            path.rmdir()


def free_bytes(path: Path) -> int:
    """Bytes that an ordinary user may still write to the file system of a path, or of its nearest existing parent."""
    while not path.exists():
        path = path.parent
    seen = os.statvfs(path)
    return seen.f_bavail * seen.f_frsize


def _take_lock(fd: int, store: Path, deadline: float) -> None:
    said = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Refused(f"somebody else is staging into {store}", "wait for it, then stage again") from None
            if not said:
                sys.stderr.write(f"waiting for somebody else who stages into {store}\n")
                said = True
            time.sleep(0.2)
        else:
            return
