"""The files of a model folder, by stat alone."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

OWN_FILES = ("slipway-manifest.json", "slipway-source.json", "slipway-damaged.json")
"""What Slipway writes beside a staged model; no part of the model."""


@dataclass(frozen=True)
class ModelFile:
    """``name`` is the path below the model folder, with "/" between its parts; ``size`` is in bytes."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """The files of a folder in the order of their names, and what in it cannot be part of a model."""

    folder: Path
    files: tuple[ModelFile, ...]
    problems: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """A digest over name, size and modification time of each file: cheap, and new once a file was touched."""
        facts = [[file.name, file.size, file.mtime_ns] for file in self.files]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def list_folder(folder: Path) -> Listing:
    """All regular files below a folder; links to files are followed, names that begin with a dot are skipped.

    Raises NotADirectoryError or another OSError where the folder cannot be read.
    """
    files: list[ModelFile] = []
    problems: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        for entry in _shown_entries(folder / prefix):
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                pending.append(name + "/")
            elif name not in OWN_FILES:
                found = _look_at(entry, name)
                if isinstance(found, str):
                    problems.append(found)
                else:
                    files.append(found)
    files.sort(key=lambda file: file.name)
    return Listing(folder, tuple(files), tuple(sorted(problems)))


def printable(name: str) -> str:
    """A file's name as it may stand in a message: on one line, and valid UTF-8."""
    return name if name.isprintable() else ascii(name)


def _shown_entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _look_at(entry: os.DirEntry[str], name: str) -> ModelFile | str:
    try:
        seen = entry.stat()
    except OSError as error:
        return f"{printable(name)}: cannot be looked at: {error.strerror}"
    if not stat.S_ISREG(seen.st_mode):
        return f"{printable(name)}: is neither a file nor a link to one"
    return ModelFile(name, seen.st_size, seen.st_mtime_ns)
