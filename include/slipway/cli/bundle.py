"""Subcommand ``bundle``: this project as one file for a machine that reaches no package index."""

from __future__ import annotations

import argparse
import re
import sys
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from slipway.errors import SpecError
from slipway.hosts import LocalHost, checked
from slipway.shell import Command

CARRIED = (
    "dags",
    "plugins",
    "include",
    "benchmarks",
    "docs",
    "tests/testbed/hosts.py",
    "pyproject.toml",
    "README.md",
    "Makefile",
)
"""What of the project's folder travels; state, secrets and results stay."""

PINS, EXECUTORS_PINS = "requirements.txt", "requirements-executors.txt"

LEFT_OUT = ("__pycache__", "slipway.egg-info")

GLIBC_OF_TAGS = (5, 12, 17, 24, 26, 27, 28, 31, 34, 35)
"""Minor versions of glibc 2 that wheels are built for."""

TARGET = re.compile(r"Python (\d+\.\d+), x86_64 Linux, glibc 2\.(\d+)")
"""How the first line of a lock file of a serving environment says what it was resolved for."""

WITHIN_S = 1800.0

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")

INSTALLER = """\
#!/usr/bin/env bash
# Set Slipway up in this folder without a network. PYTHON names the interpreter that the wheels were chosen for.
set -euo pipefail
cd "$(dirname "$0")"
"${{PYTHON:-python{python}}}" -m venv --clear --without-pip .slipway/venv
pip=(wheels/pip-*.whl)
install() {{
  .slipway/venv/bin/python "${{pip[0]}}/pip" --disable-pip-version-check -q install --no-index --find-links wheels "$@"
}}
install pip {requirements}
install --no-deps --no-build-isolation --editable .
rm -rf include/slipway.egg-info
echo "slipway is .slipway/venv/bin/slipway in $PWD"
"""


@dataclass(frozen=True)
class Target:
    """The machine that wheels are chosen for: its Python, and the minor version of its glibc 2 at least."""

    python: str
    glibc: int = 28


def bundle(arguments: argparse.Namespace) -> int:
    """Write this project and the wheels that it needs into one tar.gz file, for a machine without a package index.

    There: unpack it and run ``slipway/install``. With ``--environment``, ``slipway/wheelhouse/NAME`` holds the wheels
    of a serving environment: ``environment.wheelhouse`` of the deployment file, once it lies on each host. With
    ``--executors``, what Celery, Kubernetes and StatsD need is installed, too. Run from the project's folder.
    """
    project = Path.cwd()
    pins = [_there(project / name) for name in (PINS, *([EXECUTORS_PINS] if arguments.executors else []))]
    with TemporaryDirectory(dir=arguments.out.resolve().parent) as scratch:
        made = Path(scratch)
        for file in pins:
            _download(file, made / "wheels", Target(arguments.python))
        checked(
            LocalHost().run(Command((*PIP, "download", "--quiet", "--no-deps", f"--dest={made / 'wheels'}", "pip")))
        )
        for name in arguments.environment:
            lock = _there(project / "include" / "environments" / f"{name}.txt")
            _download(lock, made / "wheelhouse" / name, target_of(lock.read_text(encoding="utf-8"), arguments.python))
        count = pack(pins, made, arguments.out, arguments.python)
    sys.stdout.write(f"{arguments.out}: {count} wheels, {arguments.out.stat().st_size / 2**20:.0f} MiB\n")
    return 0


def target_of(lock: str, python: str) -> Target:
    """What a lock file was resolved for, as it says itself; else ``python``."""
    said = TARGET.search(lock.partition("\n")[0])
    return Target(said[1], int(said[2])) if said else Target(python)


def download(requirements: Path, wheels: Path, target: Target) -> Command:
    """Fetch what a locked requirement file pins, as wheels for Linux on x86-64. Nothing is built, nothing resolved."""
    minors = [minor for minor in GLIBC_OF_TAGS if minor <= target.glibc]
    named = ("manylinux1", "manylinux2010", "manylinux2014", *(f"manylinux_2_{minor}" for minor in minors))
    fit = ["--only-binary=:all:", f"--python-version={target.python}", "--implementation=cp"]
    platforms = [f"--platform={name}_x86_64" for name in named]
    call = (*PIP, "download", "--quiet", "--no-deps", *fit, *platforms)
    return Command((*call, f"--dest={wheels}", f"--requirement={requirements}"), timeout_s=WITHIN_S)


def _download(requirements: Path, wheels: Path, target: Target) -> None:
    hint = f"is each pin of {requirements.name} to be had as a wheel for Python {target.python}?"
    checked(LocalHost().run(download(requirements, wheels, target)), hint=hint)


def pack(pins: Sequence[Path], made: Path, out: Path, python: str) -> int:
    """Write the tar.gz file; answers how many wheels are in it. ``made`` holds the wheels, compressed already; ``pins``
    are what is installed there, in the project's folder."""
    installer = made / "install"
    installer.write_text(INSTALLER.format(python=python, requirements=_required(pins)), encoding="utf-8")
    installer.chmod(0o755)
    project = pins[0].parent
    carried = [*pins, *(project / name for name in CARRIED if (project / name).exists())]
    with tarfile.open(out, "w:gz", compresslevel=1) as tar:
        _add(tar, made, sorted(made.iterdir()))
        _add(tar, project, carried)
    return len(list(made.rglob("*.whl")))


def _required(pins: Sequence[Path]) -> str:
    return " ".join(f"-r {file.name}" for file in pins)


def _add(tar: tarfile.TarFile, folder: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        tar.add(path, f"slipway/{path.relative_to(folder)}", filter=_travels)


def _travels(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return None if Path(entry.name).name in LEFT_OUT else entry


def _there(file: Path) -> Path:
    if not file.is_file():
        hint = "run this in the project's folder; --environment names a lock file in include/environments"
        raise SpecError(f"there is no {file}", hint=hint)
    return file
