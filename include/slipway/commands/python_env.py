"""A serving environment: made from a lock file beside its place, shown under its digest when it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files as package_files

from slipway.commands import kit, rehearsal
from slipway.commands.agent import Role
from slipway.shell import Command
from slipway.spec import DeploymentSpec, Layout


def digest(spec: DeploymentSpec, lock: str) -> str:
    """Names an environment by what goes into it: the lock file's text, the interpreter, the rehearsal plugin."""
    parts = [lock, spec.environment.python]
    if spec.rehearsal:
        parts.append(hashlib.sha256(rehearsal.wheel()).hexdigest())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def folder(spec: DeploymentSpec, lock: str) -> str:
    return Layout(spec.root).environment(digest(spec, lock))


def python(spec: DeploymentSpec, lock: str) -> str:
    """The interpreter that serves: of the environment made from ``lock``, or the existing one."""
    return spec.environment.existing or f"{folder(spec, lock)}/bin/python"


def inputs(spec: DeploymentSpec, lock: str) -> list[Command]:
    """Put what the build reads onto the host: the lock file and, in rehearsal, the platform plugin's wheel."""
    place = folder(spec, lock)
    writes = [kit.write(f"{place}.lock.txt", lock.encode())]
    if spec.rehearsal:
        writes.append(kit.write(_wheel(place), rehearsal.wheel()))
    return writes


def build(spec: DeploymentSpec, lock: str, indexes: tuple[str, ...]) -> Role:
    """The job that makes it. ``indexes`` are tried beside the host's own; a step that fails ends the job."""
    place = folder(spec, lock)
    make, install, show = steps(place, spec.environment.python, lock, _sources(spec, indexes))
    plugin = [Command((*_pip(f"{place}.files"), "--no-deps", "--no-index", _wheel(place)))] if spec.rehearsal else []
    return Role(name=f"environment.{digest(spec, lock)}", steps=(make, install, *plugin, show))


def steps(place: str, interpreter: str, lock: str, origin: Sequence[str] = ()) -> tuple[Command, Command, Command]:
    """Make an environment from the lock file that lies beside its ``place``: beside it too, and shown there when whole.

    ``origin`` tells pip where to look, besides its own configuration.
    """
    beside = f"{place}.files"
    return (
        Command((interpreter, "-m", "venv", "--clear", beside)),
        Command((*_pip(beside), *origin, *_strictness(lock), "--no-deps", "-r", f"{place}.lock.txt")),
        Command(("ln", "-sfnT", beside, place)),
    )


def program(
    interpreter: str, name: str, *, stdin: bytes = b"", env: dict[str, str] | None = None, timeout_s: float
) -> Command:
    """A program of ``slipway.serving``, run by the serving environment's own interpreter."""
    source = package_files("slipway").joinpath("serving", f"{name}.py").read_text(encoding="utf-8")
    return Command((interpreter, "-c", source), env=env or {}, stdin=stdin, timeout_s=timeout_s)


def _pip(beside: str) -> tuple[str, ...]:
    return (
        f"{beside}/bin/python",
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar=off",
    )


def _sources(spec: DeploymentSpec, indexes: tuple[str, ...]) -> list[str]:
    if spec.environment.wheelhouse:
        return ["--no-index", f"--find-links={spec.environment.wheelhouse}"]
    return [f"--extra-index-url={index}" for index in indexes]


def _strictness(lock: str) -> list[str]:
    return ["--require-hashes"] if "--hash=" in lock else []


def _wheel(place: str) -> str:
    return f"{place}.wheels/{rehearsal.WHEEL_NAME}"
