"""The processes that an agent answers for, while it lives: the session of its step, and whatever descends from it.

The first process of the session is not reaped before the others are gone: so long, its number is not given to another.
A step may itself start other roles, as Airflow does. Their agents and all below them bear another mark: not ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time

from slipway.remote.agent.marks import mark_of, own_mark
from slipway.remote.agent.role import Role, Seen
from slipway.remote.processes import Process, descendants, table

PR_SET_CHILD_SUBREAPER = 36


class Family:
    """``session`` is the id of the step's first process, 0 where there is none; ``looked_at`` says when they were
    last looked for."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._recorded: list[Seen] = []
        self._foreign: set[int] = set()
        self.session = 0
        self.looked_at = 0.0

    def living(self) -> list[Process]:
        """Look for them now, and write them down where they are others than before."""
        members = self._members()
        with contextlib.suppress(OSError):
            self.record(members)
        return [process for process in members if process.alive]

    def begin(self, session: int) -> None:
        """Take a new first process into the family, in writing. Raises OSError where it cannot be written."""
        self.session = session
        self.record(self._members())

    def record(self, members: list[Process]) -> None:
        fresh = [Seen.of(process) for process in members]
        if fresh != self._recorded:
            self._role.record(fresh)
            self._recorded = fresh

    def exit(self) -> os.waitid_result | None:
        """How the first process ended; None while it runs. It is not reaped by this."""
        return os.waitid(os.P_PID, self.session, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def reap(self) -> None:
        """Let the first process go, and with it the session's number: nothing of the family may be left."""
        os.waitpid(self.session, 0)
        self.session = 0

    def _members(self) -> list[Process]:
        self.looked_at = time.monotonic()
        processes = table()
        self._reap_adopted(processes)
        self._foreign &= {process.session for process in processes.values()}
        family = {process.pid: process for process in processes.values() if 0 != process.session == self.session}
        below = descendants(processes, os.getpid(), lambda process: self._is_foreign(process, processes))
        family.update({process.pid: process for process in below})
        return [family[pid] for pid in sorted(family)]

    def _reap_adopted(self, processes: dict[int, Process]) -> None:
        for process in list(processes.values()):
            if process.parent == os.getpid() and not process.alive and process.pid != self.session:
                os.waitpid(process.pid, os.WNOHANG)
                del processes[process.pid]

    def _is_foreign(self, process: Process, processes: dict[int, Process]) -> bool:
        """Whether it is of another role. Its sessions are remembered, also for those in them that lose their mark."""
        if process.session == self.session:
            return False
        if process.session not in self._foreign and mark_of(process.pid) in (None, own_mark()):
            return False
        self._foreign.update(below.session for below in (process, *descendants(processes, process.pid)))
        return True


def become_subreaper() -> None:
    """Make processes whose parent died our own children. Where the system has no such call, the session has to do."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
