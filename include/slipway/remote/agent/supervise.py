"""The agent's loop: start the steps of a role in turn, watch them, start a server again, stop in stages."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from slipway.remote.agent.child import Held, environment, hold
from slipway.remote.agent.ending import end
from slipway.remote.agent.engine import Watchman
from slipway.remote.agent.family import Family, become_subreaper
from slipway.remote.agent.healing import WEDGED, KernelKills, Verdict, cause_of, judged, log_end
from slipway.remote.agent.ready import ready
from slipway.remote.agent.role import Role
from slipway.remote.agent.shared_memory import SharedMemory
from slipway.remote.agent.state import ending, first_state, now
from slipway.remote.agent.wanted import Wanted
from slipway.remote.processes import Process, look
from slipway.remote.refusal import Refused

TICK_S = 1.0
READY_TIMEOUT_S = 2.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
WATCHED = (*STOP_SIGNALS, signal.SIGCHLD)
HANG = "the engine hangs: it answers no completion and counts nothing, while /health says 200"


class Outcome(NamedTuple):
    """What the end of a step leads to: the role's state, and the step that follows, if any.

    Of a server that was ready also the cause of its end, and why it is not started again.
    """

    state: str
    following: int | None
    cause: str = ""
    against: str = ""


class Agent:
    """Looks after one role, from its first step until it has ended; the caller holds the role's lock.

    ``report`` is called once: with an empty text when the first step runs, or with the reason why it does not.
    """

    def __init__(self, role: Role, wanted: Wanted, log: int, report: Callable[[str], None]) -> None:
        self._role = role
        self._wanted = wanted
        self._log = log
        self._report: Callable[[str], None] | None = report
        self._family = Family(role)
        self._memory = SharedMemory.begin(role)
        self._state = first_state(role.name, wanted)
        self._saved = False
        self._asked = False
        self._watchman: Watchman | None = None
        self._kills = KernelKills()
        self._said_before_ready = 0

    def run(self) -> None:
        """Run to the end. Whatever the end is, the state says it and nothing of the role is left running."""
        become_subreaper()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        step: int | None = 0
        while step is not None:
            fault = self._launch(step)
            if fault:
                self._finish("failed", ending(step, reason=fault))
            self._tell(fault)
            if fault:
                return
            self._attend()
            step = self._settle(step, asked=self._asked)

    def _launch(self, step: int) -> str:
        """Start a step. Returns why it could not be started, or an empty text."""
        wanted = self._wanted.steps[step]
        try:
            child = hold(wanted, environment(wanted, self._wanted.env_file), str(self._role.path), self._log)
        except (Refused, OSError) as error:
            return str(error)
        fault = self._release(child, step)
        if fault:
            self._family.reap()
        return fault

    def _release(self, child: Held, step: int) -> str:
        """Write the waiting process down, then let it run."""
        self._state.update(state="starting", step=step, argv=list(self._wanted.steps[step].argv), session=child.pid)
        try:
            self._family.begin(child.pid)
            self._role.save(self._state)
        except OSError as error:
            child.abandon()
            return f"cannot write the state: {error}"
        fault = child.release()
        if not fault:
            self._note(state="running")
        return fault

    def _attend(self) -> None:
        """Wait until the step has ended, hangs, or a stop is asked for."""
        while True:
            self._listen(TICK_S)
            if self._asked or self._hangs or self._family.exit() is not None:
                return
            if time.monotonic() - self._family.looked_at >= TICK_S:
                self._watch()

    def _watch(self) -> None:
        """What is done once a second: find our processes, see whether the server is ready, write what is new."""
        self._memory.watch(self._family.living())
        self._kills.look()
        url = self._wanted.ready_url
        waits = self._state["ready_at"] is None and self._is_last(self._state["step"])
        if url is not None and waits and ready(url, READY_TIMEOUT_S):
            self._note(state="ready", ready_at=now())
            self._said_before_ready = os.fstat(self._log).st_size
            if self._wanted.liveness is not None:
                self._watchman = Watchman(self._wanted.liveness)
        elif not self._saved:
            self._note()

    def _listen(self, seconds: float) -> None:
        """Wait for a signal, at most ``seconds``, and take in all that have come."""
        got = signal.sigtimedwait(WATCHED, seconds)
        while got is not None:
            self._asked = self._asked or got.si_signo in STOP_SIGNALS
            got = signal.sigtimedwait(WATCHED, 0)

    def _settle(self, step: int, *, asked: bool) -> int | None:
        """Sweep what a step has left, and write what its end means. Returns the step that follows."""
        ended = None if asked else self._family.exit()
        outcome = Outcome("stopped", None) if asked else self._judge(step, ended)
        if not asked:
            self._announce(outcome, _told(step, ended, outcome))
        left = self._sweep(asked=asked)
        ended = ended or (self._family.exit() if asked else None)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            self._finish("failed", ending(step, ended, reason=f"processes that cannot be ended: {pids}"))
            return None
        self._family.reap()
        self._listen(0)
        if self._asked and outcome.following is not None:
            outcome = Outcome("stopped", None)
        if outcome.following is None:
            self._finish(outcome.state, _told(step, ended, outcome))
        return outcome.following

    @property
    def _hangs(self) -> bool:
        return self._watchman is not None and self._watchman.hangs

    def _judge(self, step: int, ended: os.waitid_result | None) -> Outcome:
        """What an end that nobody asked for leads to; None is that of a server that hangs, and is ended for it.

        A server must not end, not even with code 0.
        """
        last = self._is_last(step)
        clean = ended is not None and ended.si_code == os.CLD_EXITED and ended.si_status == 0
        if clean and not last:
            return Outcome("running", step + 1)
        if clean and not self._wanted.server:
            return Outcome("done", None)
        if not last or self._state["ready_at"] is None or not (self._wanted.restart.times or ended is None):
            return Outcome("failed", None)
        verdict = self._verdict(ended)
        return Outcome("failed", None, *verdict) if verdict.against else Outcome("starting", step, *verdict)

    def _is_last(self, step: int) -> bool:
        return step + 1 == len(self._wanted.steps)

    def _verdict(self, ended: os.waitid_result | None) -> Verdict:
        """Why a server that was ready has ended, and whether it is started again."""
        restart, killed_for_memory = self._wanted.restart, self._kills.look()
        if ended is None:
            return judged(restart, self._state["restarts"], WEDGED, now())
        number = None if ended.si_code == os.CLD_EXITED else ended.si_status
        said = log_end(self._role.log_path, self._said_before_ready)
        cause = cause_of(restart, said, number=number, killed_for_memory=killed_for_memory)
        return judged(restart, self._state["restarts"], cause, now())

    def _announce(self, outcome: Outcome, ended: dict[str, Any]) -> None:
        """Write a failure down before the sweep, which may take a while."""
        if outcome.state == "failed":
            self._note(state="failed", exit=ended, ended_at=now())
        elif outcome.state == "starting":
            how = {name: ended[name] for name in ("code", "signal", "reason")}
            again = {"at": now(), **how, "cause": outcome.cause}
            self._note(state="starting", ready_at=None, restarts=[*self._state["restarts"], again])
            self._say(f"ended unasked ({ended['reason']}; cause: {outcome.cause}) and will be started again")

    def _sweep(self, *, asked: bool) -> list[Process]:
        self._memory.look(self._family.living())
        leader = look(self._family.session) if asked else None
        left = end(leader, self._family.living, self._wanted.term_s, self._wanted.group_s)
        if self._watchman is not None:
            self._watchman.end()
            self._watchman = None
        self._memory.remove()
        return left

    def _finish(self, state: str, ended: dict[str, Any]) -> None:
        self._family.living()
        self._note(state=state, exit=ended, ended_at=now())
        self._say(f"{state}: {ended['reason']}")

    def _note(self, **changes: Any) -> None:
        """Write the state down. A full disk must not end the agent: it tries again with the next tick."""
        self._state.update(changes)
        try:
            self._role.save(self._state)
        except OSError:
            self._saved = False
        else:
            self._saved = True

    def _tell(self, fault: str) -> None:
        if self._report is not None:
            self._report(fault)
        self._report = None

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._log, f"[slipway agent] {self._role.name} {text}\n".encode())


def _told(step: int, ended: os.waitid_result | None, outcome: Outcome) -> dict[str, Any]:
    """The end for the state, which is a hang without ``ended``: with its cause, and with why it stays ended."""
    how = ending(step, ended, reason="" if ended else HANG)
    if outcome.against:
        how["reason"] = f"{how['reason']} ({outcome.cause}: {outcome.against})"
    return {**how, "cause": outcome.cause} if outcome.cause else how
