"""What is written down of a role: how it stands, what runs, how it ended."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from slipway.remote.agent.marks import own_mark
from slipway.remote.processes import boot_id, look

if TYPE_CHECKING:
    from slipway.remote.agent.wanted import Wanted

State = dict[str, Any]

WORKING = ("starting", "running", "ready")
EMPTY: State = {
    "state": "absent",
    "digest": None,
    "labels": {},
    "agent_pid": None,
    "session": None,
    "boot_id": None,
    "started_at": None,
    "ready_at": None,
    "ended_at": None,
    "exit": None,
    "restarts": [],
    "ports": [],
    "step": None,
    "steps": 0,
    "argv": [],
}


def first_state(role: str, wanted: Wanted) -> State:
    """The state of a role whose agent is this process, before its first step runs."""
    me = look(os.getpid())
    return {
        **EMPTY,
        "role": role,
        "state": "starting",
        "digest": wanted.digest,
        "labels": wanted.labels,
        "agent_pid": os.getpid(),
        "agent_began": me.began if me is not None else 0,
        "mark": own_mark(),
        "boot_id": boot_id(),
        "started_at": now(),
        "ports": list(wanted.ports),
        "step": 0,
        "steps": len(wanted.steps),
        "term_s": wanted.term_s,
        "group_s": wanted.group_s,
    }


def ending(step: int, ended: os.waitid_result | None = None, *, reason: str = "") -> dict[str, Any]:
    """How a step ended: its exit code or signal, and the reason in words."""
    code = number = None
    if ended is not None and ended.si_code == os.CLD_EXITED:
        code = ended.si_status
        reason = reason or f"exit code {code}"
    elif ended is not None:
        number = ended.si_status
        reason = reason or f"signal {number}"
    return {"code": code, "signal": number, "step": step, "reason": reason}


def now() -> float:
    """Seconds since 1970, as every time in a state."""
    return round(time.time(), 3)
