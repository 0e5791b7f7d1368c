"""What a run left beside its figures: every request, the load generator's reports, evidence of a failure.

A file is given only if the list names it, and the list is made by walking the run's own folder: no name that a browser
sends ever becomes a path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from slipway.ui.answers import Answer

MOST_FILES = 2000


class FileAnswer(Answer):
    """One file of a run."""

    name: str
    """Its path below the run's folder, as ``users-8/report.html``."""
    bytes: int


class FilesAnswer(Answer):
    """The files of a run, by name; empty where the machine that answers does not have them."""

    files: list[FileAnswer]


def files_of(folder: Path) -> FilesAnswer:
    """At most :data:`MOST_FILES` of them."""
    found = islice(_walk(folder), MOST_FILES)
    answers = [FileAnswer(name=name, bytes=path.stat().st_size) for name, path in found]
    return FilesAnswer(files=sorted(answers, key=lambda each: each.name))


def file_named(folder: Path, name: str) -> Path | None:
    """The file of this name, None where the run has none."""
    return dict(islice(_walk(folder), MOST_FILES)).get(name)


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Plain files with their names; no link is followed."""
    for place, _, names in os.walk(folder, followlinks=False):
        for path in (Path(place, name) for name in names):
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path
