"""End processes in stages: TERM to the first, TERM to all that are left, KILL."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from slipway.remote.processes import Process, same, send

KILL_S = 5.0
"""How long processes may take to go after KILL; one that hangs in a device's driver cannot."""
LOOK_S = 0.05

Living = Callable[[], Sequence[Process]]


def end(leader: Process | None, living: Living, term_s: float, group_s: float) -> list[Process]:
    """End every process that ``living`` gives, and those that join them meanwhile. Returns those that are left.

    ``term_s`` is how long the leader may take to end the others itself, ``group_s`` how long all may take after that.
    """
    if leader is not None and send(leader, signal.SIGTERM):
        deadline = time.monotonic() + term_s
        while same(leader) is not None and time.monotonic() < deadline:
            time.sleep(LOOK_S)
    left = _signal_all(living, signal.SIGTERM, group_s)
    return _signal_all(living, signal.SIGKILL, KILL_S) if left else []


def _signal_all(living: Living, number: signal.Signals, seconds: float) -> list[Process]:
    """Signal each process once, until none is left or the time is up."""
    deadline = time.monotonic() + seconds
    told: set[tuple[int, int]] = set()
    while True:
        left = list(living())
        for process in left:
            if (process.pid, process.began) not in told:
                send(process, number)
                told.add((process.pid, process.began))
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(LOOK_S)
