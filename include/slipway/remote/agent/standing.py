"""How a role stands, and what an agent that died has left behind.

The proof that a process is ours: a session's number is not given again while the session has a member. So if one
process in it was recorded by the agent, or bears the mark of its start, the whole session is ours. Without such a
witness nothing is signalled.
"""

from __future__ import annotations

from collections.abc import Iterable

from slipway.remote.agent.ending import end
from slipway.remote.agent.marks import mark_of
from slipway.remote.agent.role import Role, Seen
from slipway.remote.agent.shared_memory import SharedMemory
from slipway.remote.agent.state import EMPTY, WORKING, State, ending
from slipway.remote.processes import Process, boot_id, look, table


def status(role: Role) -> State:
    """The role's state as it is now, also where its agent died without writing it down."""
    state, alive = _seen(role)
    answer = {**EMPTY, **state, "role": role.name, "alive": alive, "log": str(role.log_path), "orphans": []}
    if not alive:
        answer["orphans"] = sorted(process.pid for process in Remnants(role, state).living())
    if not alive and answer["state"] in WORKING:
        why = "agent gone" if answer["boot_id"] == boot_id() else "agent gone: the host was started again"
        answer["state"] = "failed"
        answer["exit"] = ending(answer["step"], reason=why)
    return answer


def agent_of(role: Role) -> Process | None:
    """The agent that holds the role's lock; None where there is none."""
    state = role.state()
    if state is None or not role.held() or state["boot_id"] != boot_id():
        return None
    process = look(state["agent_pid"])
    return process if process is not None and process.alive and process.began == state["agent_began"] else None


def sweep(role: Role, *, hurried: bool = False) -> list[Process]:
    """End what a dead agent has left, in the stages that the role asked for, or with no time between them.

    Its shared memory goes with it. Returns the processes that are still there. Only for the holder of the lock.
    """
    state = role.state()
    if state is None:
        return []
    remnants, memory = Remnants(role, state), SharedMemory.recorded(role)
    memory.look(remnants.living())
    leader = next((process for process in remnants.living() if process.pid == state["session"]), None)
    term_s, group_s = (0.0, 0.0) if hurried else (state["term_s"], state["group_s"])
    left = [*end(leader, remnants.living, term_s, group_s), *remnants.unproven]
    memory.remove()
    if not left:
        role.record([])
    return left


class Remnants:
    """The processes of a role whose agent is gone; ``unproven`` may be ours or not, and are left alone."""

    def __init__(self, role: Role, state: State) -> None:
        same_boot = state.get("boot_id") == boot_id()
        self._mark: str | None = state.get("mark")
        self._known = {seen.pid: seen for seen in role.recorded()} if same_boot else {}
        self.unproven: list[Process] = []

    def living(self) -> list[Process]:
        """Look again. Each look knows more witnesses: those that the one before has found."""
        if not self._known:
            return []
        processes = table()
        proven = {process.session for process in processes.values() if self._is_known(process)}
        doubtful = {seen.session for seen in self._known.values()} - proven - processes.keys()
        ours = [process for process in processes.values() if process.session in proven]
        self.unproven = _alive(process for process in processes.values() if process.session in doubtful)
        self._known.update({process.pid: Seen.of(process) for process in ours})
        return _alive(ours)

    def _is_known(self, process: Process) -> bool:
        mark = mark_of(process.pid)
        if mark is not None and self._mark is not None:
            return mark == self._mark
        seen = self._known.get(process.pid)
        return seen is not None and seen.began == process.began and process.session in (seen.session, seen.pid)


def _alive(processes: Iterable[Process]) -> list[Process]:
    return [process for process in processes if process.alive]


def _seen(role: Role) -> tuple[State, bool]:
    """The state and whether its agent lives. An agent that ends between the two looks is seen at the second try."""
    state: State = {}
    for _ in range(2):
        alive = agent_of(role) is not None
        state = role.state() or {}
        if alive or state.get("state") not in WORKING:
            return state, alive
    return state, False
