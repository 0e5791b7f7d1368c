"""Start a role: claim its lock, sweep what a dead agent left, hand the lock to a fresh agent, wait for its word."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slipway.remote.agent.marks import NAME, fresh_mark
from slipway.remote.agent.role import Role, released, role_of
from slipway.remote.agent.standing import status, sweep
from slipway.remote.agent.state import State
from slipway.remote.agent.wanted import Wanted, parse_wanted
from slipway.remote.refusal import Refused
from slipway.remote.request import Request

REPORT_S = 30.0
TURN_S = 45.0
"""How long a start waits for another call that has the role in its hands."""
POLL_S = 0.1


def start(request: Request) -> State:
    """Start a role, unless the same already runs or has ended well. Returns when its first process runs.

    What a dead agent left is swept first. Raises Refused where another one is alive under this name, or its first
    program cannot be started.
    """
    role, wanted = role_of(request), parse_wanted(request)
    lock = _claim_or_find(role)
    if lock is None:
        return _found(status(role), wanted)
    with released(lock):
        seen = status(role)
        if seen["state"] == "done" and seen["digest"] == wanted.digest and not request.flag("again"):
            return {**seen, "started": False}
        _sweep_or_refuse(role)
        role.rotate_log()
        _launch(role, request, lock)
        return {**status(role), "started": True}


def run(request: Request) -> None:
    """Be the agent of a role: called by ``start``, which hands over the lock that it holds."""
    from slipway.remote.agent.supervise import Agent  # not for every short call to load

    role, wanted = role_of(request), parse_wanted(request)
    lock = request.integer("lock", low=3)
    if not role.owns(lock):
        raise Refused(f"the lock of the role {role.name} is not held", "this verb is for `agent start` alone")
    os.set_inheritable(lock, False)
    log = role.open_log()

    def report(fault: str) -> None:
        os.write(1, json.dumps({"fault": fault}).encode() + b"\n")
        os.dup2(log, 1)

    with Path("/dev/null").open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    Agent(role, wanted, log, report).run()


def _claim_or_find(role: Role) -> int | None:
    """The lock of a role; None where its agent holds it and its first process runs."""
    deadline = time.monotonic() + TURN_S
    role.make()
    while (lock := role.claim()) is None:
        seen = status(role)
        if seen["alive"] and seen["state"] in ("running", "ready"):
            return None
        if time.monotonic() > deadline:
            raise Refused(f"another call has the role {role.name} in its hands", "try again when it has ended")
        time.sleep(POLL_S)
        role.make()
    return lock


def _found(seen: State, wanted: Wanted) -> State:
    if seen["digest"] != wanted.digest:
        runs = f"the role {seen['role']} runs with digest {seen['digest']}"
        raise Refused(f"{runs}, not {wanted.digest}", "stop it first")
    return {**seen, "started": False}


def _sweep_or_refuse(role: Role) -> None:
    left = sweep(role)
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise Refused(
            f"processes in the sessions of the last start of {role.name} are still there: {pids}",
            "they cannot be ended, or not be proved to be ours: look at them with ps, and end them by hand",
        )


def _launch(role: Role, request: Request, lock: int) -> None:
    """Start the agent, give it the lock, and wait until it reports. Raises Refused with the fault that it reports."""
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as asked:
        asked.write(json.dumps({**request, "lock": lock}).encode())
        asked.seek(0)
        agent = _spawn(role, asked.fileno(), writer, lock)
    os.close(writer)
    with os.fdopen(reader, "rb") as reports:
        ready, _, _ = select.select([reports], [], [], REPORT_S)
        report = reports.readline() if ready else b""
    if not report:
        raise Refused(f"the agent of {role.name} did not report", f"look at {role.log_path}")
    said = json.loads(report)
    fault = said.get("fault") or said.get("error")
    if fault:
        agent.wait(REPORT_S)
        raise Refused(f"{role.name}: {fault}", "mend the command, then start it again")


def _spawn(role: Role, stdin: int, stdout: int, lock: int) -> subprocess.Popen[bytes]:
    """The agent as a process that nothing binds to this one: a session of its own, no descriptor but the lock."""
    argv = [sys.executable, "-I", "-S", str(Path(sys.argv[0]).resolve()), "agent", "run", role.name]
    env = {**os.environ, NAME: fresh_mark(role.path)}
    log = role.open_log()
    try:
        return subprocess.Popen(
            argv, env=env, stdin=stdin, stdout=stdout, stderr=log, pass_fds=[lock], cwd="/", start_new_session=True
        )
    finally:
        os.close(log)
