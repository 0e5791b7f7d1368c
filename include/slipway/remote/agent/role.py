"""The folder of one supervised role: its state, the lock that its agent holds for life, its processes, its log."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from slipway.remote.agent.state import State
from slipway.remote.files import make_folder, replace
from slipway.remote.processes import Process
from slipway.remote.refusal import Refused
from slipway.remote.request import Request

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,100}")


class Seen(NamedTuple):
    """A process as it was recorded: enough to know it again, and its session by it."""

    pid: int
    began: int
    session: int

    @classmethod
    def of(cls, process: Process) -> Seen:
        return cls(process.pid, process.began, process.session)


class Role:
    """The folder ``folder/name``: ``state.json``, ``processes.json``, ``shared_memory.json``, ``lock``, ``log``, and
    ``log.1`` of the start before."""

    def __init__(self, folder: Path, name: str) -> None:
        if NAME.fullmatch(name) is None:
            raise Refused(f"role: {name!r} is no name of a role", "small letters, digits, '.', '_', '-'; at most 101")
        self.name = name
        self.path = folder / name
        self.log_path = self.path / "log"

    def make(self) -> None:
        make_folder(self.path.parent, 0o755)
        make_folder(self.path, 0o700)

    def state(self) -> State | None:
        """What the agent wrote last; None before the first start."""
        state = self._read("state.json")
        return state if isinstance(state, dict) else None

    def save(self, state: State) -> None:
        replace(self.path / "state.json", json.dumps(state, indent=1).encode(), 0o600)

    def recorded(self) -> list[Seen]:
        """The processes that the agent saw last."""
        return [Seen(*entry) for entry in self._read("processes.json") or []]

    def record(self, processes: Iterable[Seen]) -> None:
        """Write down which processes are ours. A power cut ends them all, so nothing waits for the disk."""
        replace(self.path / "processes.json", json.dumps(list(processes)).encode(), 0o600, durable=False)

    def shared_memory(self) -> Any:
        """What the agent wrote of the role's shared memory; None before the first start."""
        return self._read("shared_memory.json")

    def record_shared_memory(self, record: Mapping[str, Any]) -> None:
        """Shared memory does not outlast a power cut, so nothing waits for the disk."""
        replace(self.path / "shared_memory.json", json.dumps(record).encode(), 0o600, durable=False)

    def claim(self) -> int | None:
        """Take the lock and return its descriptor; None while somebody else holds it.

        It is held as long as any copy of the descriptor is open, and so passes to the agent that inherits it.
        """
        return self._lock(fcntl.LOCK_EX)

    def held(self) -> bool:
        """Whether somebody holds the lock. Looking does not disturb others who look."""
        try:
            descriptor = self._lock(fcntl.LOCK_SH)
        except FileNotFoundError:
            return False
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def owns(self, descriptor: int) -> bool:
        """Whether this descriptor is the lock, and held."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(os.fstat(descriptor), (self.path / "lock").stat())
        except OSError:
            return False

    def open_log(self) -> int:
        return os.open(self.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def rotate_log(self) -> None:
        if self.log_path.exists():
            self.log_path.replace(self.path / "log.1")

    def _lock(self, kind: int) -> int | None:
        """A lock on the file that bears the name now: one that was removed meanwhile is nobody's."""
        make = os.O_CREAT if kind == fcntl.LOCK_EX else 0
        descriptor = os.open(self.path / "lock", os.O_RDWR | make, 0o600)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), (self.path / "lock").stat()):
                return descriptor
        os.close(descriptor)
        return None

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise Refused(f"{self.path / name} is damaged: {error}", f"look at it, then remove {self.path}") from error


@contextlib.contextmanager
def released(descriptor: int) -> Iterator[None]:
    """Give the lock back at the end, unless an agent has inherited it."""
    try:
        yield
    finally:
        os.close(descriptor)


def role_of(request: Request) -> Role:
    """The role that a request names by ``folder`` and ``role``."""
    return Role(folder_of(request), request.text("role"))


def folder_of(request: Request) -> Path:
    folder = Path(request.text("folder"))
    if not folder.is_absolute() or ".." in folder.parts:
        raise request.wrong("folder", f"{str(folder)!r} is no absolute path without '..'")
    return folder


def roles_in(folder: Path) -> list[Role]:
    """Every role below a folder that was ever started."""
    if not folder.is_dir():
        return []
    named = sorted(place.parent.name for place in folder.glob("*/state.json"))
    return [Role(folder, name) for name in named if NAME.fullmatch(name)]
