"""The agent on a host: supervised processes and detached jobs, each a *role* with its folder, lock, state and log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipway.commands import kit
from slipway.shell import Command
from slipway.spec.layout import Layout

STOP_S = {"term_s": 10, "group_s": 20}
"""A staged stop: TERM to the process, after ``term_s`` TERM to its whole session, after ``group_s`` more KILL."""

LONGEST_DRAIN_S = 120
"""A server may work on its requests for so long before the stop is hurried."""

RESTART = {"times": 3, "window_s": 600}
"""How often a server that was ready is started again, whatever its ends are."""

LIVENESS = {"idle_s": 10, "misses": 3}
"""An engine hangs that counts nothing for ``idle_s`` and then misses so many completions in a row."""


@dataclass(frozen=True)
class Role:
    """What the agent must keep running, or run to its end.

    ``steps`` run one after the other. A ``server`` has one step, and any end of it that was not asked for is a failure.
    ``labels`` say whose it is; they are not part of its identity. A job that has ended well is done for good, unless it
    says that it runs ``again``. ``env_file`` is a file on the host, mode 0600, with variables that nobody may see: its
    path is part of the identity, what it holds is not. ``drain_s`` is how long it takes to end of itself once it was
    told to. ``causes`` of an end each have ``id``, ``pattern`` (of the log) and ``times`` that a restart may help.
    ``liveness`` has the requests ``completion``, ``metrics`` and ``health``, and the ``signs`` of life in the metrics.
    """

    name: str
    steps: tuple[Command, ...]
    server: bool = False
    ready_url: str | None = None
    restart: bool = False
    causes: Sequence[Mapping[str, object]] = ()
    liveness: Mapping[str, object] | None = None
    again: bool = False
    env_file: str | None = None
    drain_s: int = 0
    ports: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """Names what runs: two roles with the same steps have the same digest."""
        named = [*self._steps(), *([{"env_file": self.env_file}] if self.env_file else [])]
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]

    def request(self, root: str) -> dict[str, object]:
        return {
            "folder": Layout(root).agents,
            "role": self.name,
            "digest": self.digest(),
            "labels": dict(self.labels),
            "steps": self._steps(),
            "server": self.server,
            "again": self.again,
            "env_file": self.env_file,
            "ready": {"url": self.ready_url} if self.ready_url else None,
            "restart": {**RESTART, "causes": list(self.causes)} if self.restart else None,
            "liveness": {**self.liveness, **LIVENESS} if self.liveness else None,
            "stop": {**STOP_S, "term_s": STOP_S["term_s"] + self.drain_s},
            "ports": list(self.ports),
        }

    def _steps(self) -> list[dict[str, object]]:
        return [
            {"argv": list(step.argv), "env": dict(step.env), "cwd": step.cwd, "stdin": step.stdin.decode()}
            for step in self.steps
        ]


def start(root: str, role: Role) -> Command:
    """Start it, unless the same already runs, or is done for good. Another one alive under this name is refused."""
    return kit.call(root, "agent", "start", role.request(root))


def status(root: str, role: str) -> Command:
    return kit.call(root, "agent", "status", {"folder": Layout(root).agents, "role": role})


def roles(root: str) -> Command:
    """The status of every role on the host."""
    return kit.call(root, "agent", "list", {"folder": Layout(root).agents})


def stop(root: str, role: str) -> Command:
    """Stop it in stages and answer when nothing of it is left. One that is not there is stopped already."""
    request = {"folder": Layout(root).agents, "role": role}
    return kit.call(root, "agent", "stop", request, timeout_s=2 * sum(STOP_S.values()) + LONGEST_DRAIN_S)


def wait(root: str, role: str, seconds: float) -> Command:
    """Wait until it has ended, at most ``seconds``; answers its status."""
    request = {"folder": Layout(root).agents, "role": role, "seconds": seconds}
    return kit.call(root, "agent", "wait", request, timeout_s=seconds + 30)


def log(root: str, role: str, offset: int, limit_bytes: int = 1 << 16) -> Command:
    """A part of its log, from a byte offset on; a negative offset counts from the end."""
    request = {"folder": Layout(root).agents, "role": role, "offset": offset, "limit": limit_bytes}
    return kit.call(root, "agent", "log", request)


def forget(root: str, role: str) -> Command:
    """Remove the folder of a role that is not alive."""
    return kit.call(root, "agent", "forget", {"folder": Layout(root).agents, "role": role})
