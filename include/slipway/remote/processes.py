"""The processes of this host, as ``/proc`` shows them, and signals that reach exactly the process that was seen."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
PF_KTHREAD = 0x00200000
"""A thread of the kernel: ``include/linux/sched.h``."""


class Process(NamedTuple):
    """One process. ``began`` is its start time in clock ticks since boot; with ``pid`` it names the process.

    ``session`` is 0 for the kernel's own threads, and for whatever was started from outside this container.
    """

    pid: int
    parent: int
    session: int
    state: str
    began: int
    kernel: bool = False

    @property
    def alive(self) -> bool:
        """A zombie holds no memory, file or port: it has ended."""
        return self.state not in "ZX"


def look(pid: int) -> Process | None:
    """The process with this id now; None where there is none."""
    try:
        handle = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        return parse_stat(os.read(handle, 4096))
    except OSError:
        return None
    finally:
        os.close(handle)


def parse_stat(line: bytes) -> Process:
    """A line of ``/proc/PID/stat``. The name in brackets may hold spaces and brackets of its own."""
    fields = line[line.rindex(b")") + 2 :].split()
    return Process(
        pid=int(line.split(b" ", 1)[0]),
        parent=int(fields[1]),
        session=int(fields[3]),
        state=fields[0].decode(),
        began=int(fields[19]),
        kernel=bool(int(fields[6]) & PF_KTHREAD),
    )


def table() -> dict[int, Process]:
    """Every process that this user can see, by its id, without the kernel's own threads."""
    with os.scandir(PROC) as entries:
        seen = [look(int(entry.name)) for entry in entries if entry.name.isdigit()]
    return {process.pid: process for process in seen if process is not None and not process.kernel}


def descendants(
    processes: Mapping[int, Process], ancestor: int, foreign: Callable[[Process], bool] = lambda _: False
) -> list[Process]:
    """Children of ``ancestor``, their children, and so on; without those that are ``foreign``, and theirs."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    pending = [ancestor]
    while pending:
        below = [process for process in children.pop(pending.pop(), []) if not foreign(process)]
        found += below
        pending += [process.pid for process in below]
    return found


def same(process: Process) -> Process | None:
    """The process as it is now; None where it has ended, also if another one has its id."""
    now = look(process.pid)
    return now if now is not None and now.began == process.began and now.alive else None


def send(process: Process, number: signal.Signals) -> bool:
    """Signal this very process; False where it has ended or is not this user's to signal.

    The handle is opened before the process is looked at again, so that the signal cannot reach one that took its id.
    """
    with _open_handle(process.pid) as handle:
        if same(process) is None:
            return False
        try:
            if handle is None:
                os.kill(process.pid, number)
            else:
                signal.pidfd_send_signal(handle, number)
        except (ProcessLookupError, PermissionError):
            return False
    return True


@contextlib.contextmanager
def _open_handle(pid: int) -> Iterator[int | None]:
    """A process handle; None where this kernel or this Python has none, or the process has ended."""
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def boot_id() -> str:
    """Names the time since the host was started: process ids of another boot mean nothing now."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
