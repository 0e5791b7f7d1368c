"""The program ``agent``: roles, supervised processes and jobs of several steps, that outlive whoever started them."""

from __future__ import annotations

import codecs
import os
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

from slipway.remote.agent.role import folder_of, released, role_of, roles_in
from slipway.remote.agent.shared_memory import SharedMemory
from slipway.remote.agent.standing import status
from slipway.remote.agent.starting import run, start
from slipway.remote.agent.state import WORKING, State
from slipway.remote.agent.stopping import stop
from slipway.remote.refusal import Refused
from slipway.remote.request import Request

POLL_S = 0.1
LONGEST_READ = 1 << 20


def role_status(request: Request) -> State:
    return status(role_of(request))


def list_roles(request: Request) -> dict[str, Any]:
    return {"roles": [status(role) for role in roles_in(folder_of(request))]}


def log(request: Request) -> dict[str, Any]:
    """A part of the log: at most ``limit`` bytes from byte ``offset`` on, counted from the end where that is negative.

    ``offset`` in the answer is where the next part begins. One that lies behind the end is of an earlier start's log:
    then the new log is read from its start.
    """
    role, offset = role_of(request), request.integer("offset", 0, low=-(1 << 62))
    limit = request.integer("limit", 1 << 16, high=LONGEST_READ)
    if not role.log_path.exists():
        return {"text": "", "offset": 0, "size": 0}
    with role.log_path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        begin = max(0, size + offset) if offset < 0 else offset if offset <= size else 0
        file.seek(begin)
        part = file.read(limit)
    text, used = _decoded(part)
    return {"text": text, "offset": begin + used, "size": size}


def wait(request: Request) -> dict[str, Any]:
    """The status once the role has ended, or after ``seconds``."""
    role = role_of(request)
    deadline = time.monotonic() + request.number("seconds", high=86400)
    while True:
        seen = status(role)
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not (seen["alive"] or seen["state"] in WORKING):
            return seen
        time.sleep(min(left_s, POLL_S))


def forget(request: Request) -> dict[str, Any]:
    """Remove the folder of a role of which nothing is alive, and what is still there of its shared memory."""
    role = role_of(request)
    if not role.path.exists():
        return {"forgotten": False}
    lock = role.claim()
    if lock is None:
        raise Refused(f"the role {role.name} is alive", "stop it first")
    with released(lock):
        orphans = ", ".join(map(str, status(role)["orphans"]))
        if orphans:
            raise Refused(f"processes of the role {role.name} are alive: {orphans}", "stop it first")
        SharedMemory.recorded(role).remove()
        shutil.rmtree(role.path)
    return {"forgotten": True}


def _decoded(part: bytes) -> tuple[str, int]:
    """The text and how many bytes it took: a letter that is cut at the end is left for the next part."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(part)
    cut = len(decoder.getstate()[0])
    return (part.decode(errors="replace"), len(part)) if cut == len(part) else (text, len(part) - cut)


VERBS: Mapping[str, Callable[[Request], State | None]] = {
    "forget": forget,
    "list": list_roles,
    "log": log,
    "run": run,
    "start": start,
    "status": role_status,
    "stop": stop,
    "wait": wait,
}
