"""What another host needs to make load: the load generator as one file, and a Python environment with Locust."""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files

from slipway.commands import kit, python_env
from slipway.commands.agent import Role
from slipway.shell import Command
from slipway.spec import Layout
from slipway.spec.judging import LoadWorkerSpec

MODULES = ("__init__.py", "errors.py", "shell.py")
PACKAGES = ("loadgen", "results")
"""Of Slipway, all that a load process imports."""

LOCUSTFILE = "from slipway.loadgen.locustfile import *\n"
"""Locust wants a file of its own."""


@functools.cache
def archive() -> bytes:
    """The same sources give the same bytes."""
    package = files("slipway")
    members = {f"slipway/{name}": package.joinpath(name).read_bytes() for name in MODULES}
    for name in PACKAGES:
        members |= kit.sources(package.joinpath(name), f"slipway/{name}")
    return kit.pack(members)


def path(root: str) -> str:
    """Where the archive lies on the host, for ``PYTHONPATH``."""
    return f"{_stem(root)}.zip"


def locustfile(root: str) -> str:
    return f"{_stem(root)}.py"


def installed(root: str) -> Command:
    """Ends with 0 where all of it is on the host."""
    return Command(("test", "-f", locustfile(root)))


def install(root: str) -> list[Command]:
    """Put it there; doing it again changes nothing."""
    return [kit.write(path(root), archive()), kit.write(locustfile(root), LOCUSTFILE.encode())]


def python(root: str, worker: LoadWorkerSpec) -> str:
    """The interpreter that runs Locust on the host."""
    return worker.existing or f"{_place(root, worker)}/bin/python"


def write_requirements(root: str, worker: LoadWorkerSpec) -> Command:
    return kit.write(f"{_place(root, worker)}.lock.txt", _requirements().encode())


def build(root: str, worker: LoadWorkerSpec, wheelhouse: str | None) -> Role:
    """The job that makes the environment."""
    origin = ["--no-index", f"--find-links={wheelhouse}"] if wheelhouse else []
    steps = python_env.steps(_place(root, worker), worker.python, _requirements(), origin)
    return Role(name=f"environment.{_digest(worker)}", steps=steps)


def _stem(root: str) -> str:
    return f"{root}/kit/loadgen-{hashlib.sha256(archive()).hexdigest()[:12]}"


def _place(root: str, worker: LoadWorkerSpec) -> str:
    return Layout(root).environment(_digest(worker))


def _digest(worker: LoadWorkerSpec) -> str:
    return hashlib.sha256(f"{_requirements()}\0{worker.python}".encode()).hexdigest()[:12]


def _requirements() -> str:
    return files("slipway").joinpath("loadgen", "requirements.txt").read_text(encoding="utf-8")
