"""Stop a role: ask its agent, or do its work where it is dead, and say what is left."""

from __future__ import annotations

import signal
import time
from typing import Any

from slipway.remote.agent.ending import KILL_S
from slipway.remote.agent.role import Role, released, role_of
from slipway.remote.agent.standing import agent_of, status, sweep
from slipway.remote.agent.state import WORKING, now
from slipway.remote.processes import send
from slipway.remote.refusal import Refused
from slipway.remote.request import Request

POLL_S = 0.1


def stop(request: Request) -> dict[str, Any]:
    """Stop a role in stages, also where its agent is dead. ``stopped`` only when nothing of it is left.

    Takes at most the role's ``term_s`` and ``group_s`` and some 20 seconds.
    """
    role, began = role_of(request), time.monotonic()
    if not role.path.exists():
        return {"stopped": True, "acted": False, "left": [], "seconds": 0.0}
    lock, asked = _take_over(role)
    with released(lock):
        seen = status(role)
        acted = asked or bool(seen["orphans"])
        left = sweep(role, hurried=asked)
        state = role.state()
        if acted and not left and state is not None and state["state"] in WORKING:
            role.save({**state, "state": "stopped", "exit": seen["exit"], "ended_at": now()})
    seconds = round(time.monotonic() - began, 3)
    return {"stopped": not left, "acted": acted, "left": sorted(process.pid for process in left), "seconds": seconds}


def _take_over(role: Role) -> tuple[int, bool]:
    """The lock of a role, and whether its agent had to be asked for it; one that does not end in time is killed."""
    lock = role.claim()
    if lock is not None:
        return lock, False
    state = role.state()
    patience_s = 2 * KILL_S + (state["term_s"] + state["group_s"] if state is not None else 0.0)
    lock = _claim_from_agent(role, signal.SIGTERM, patience_s) or _claim_from_agent(role, signal.SIGKILL, KILL_S)
    if lock is None:
        raise Refused(f"another call has the role {role.name} in its hands", "try again when it has ended")
    return lock, True


def _claim_from_agent(role: Role, number: signal.Signals, seconds: float) -> int | None:
    """Signal the role's agent, once it shows, and wait for its lock; None when the time is up."""
    deadline = time.monotonic() + seconds
    told: set[int] = set()
    while (lock := role.claim()) is None and time.monotonic() < deadline:
        agent = agent_of(role)
        if agent is not None and agent.pid not in told:
            told.add(agent.pid)
            send(agent, number)
        time.sleep(POLL_S)
    return lock
