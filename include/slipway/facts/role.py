"""A supervised process or job on a host, as its agent reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.commands import agent, kit
from slipway.hosts import Host


@dataclass(frozen=True)
class RoleState:
    """``state``: absent, starting, running, ready, done, failed or stopped. ``alive``: its agent holds it."""

    role: str
    state: str = "absent"
    alive: bool = False
    digest: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    started_at: float | None = None
    ready_at: float | None = None
    ended_at: float | None = None
    exit: Mapping[str, Any] = field(default_factory=dict)
    restarts: tuple[Mapping[str, Any], ...] = ()
    orphans: tuple[int, ...] = ()
    agent_pid: int | None = None
    session: int | None = None
    step: int = 0
    steps: int = 0

    @property
    def began_at(self) -> float | None:
        """When what runs now began: at the start, or when the agent last started it again."""
        return float(self.restarts[-1]["at"]) if self.restarts else self.started_at

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        return str(self.exit.get("reason") or self.state)


def parse_role(data: Mapping[str, Any]) -> RoleState:
    """From the agent's answer; what the answer lacks keeps its default."""
    known = {name: data[name] for name in RoleState.__dataclass_fields__ if data.get(name) is not None}
    for name in ("restarts", "orphans"):
        known[name] = tuple(known.get(name, ()))
    return RoleState(**known)


def role(host: Host, root: str, name: str) -> RoleState:
    return parse_role(kit.reply(host.run(agent.status(root, name))))


def roles(host: Host, root: str) -> list[RoleState]:
    """Every role that the host's agents know."""
    return [parse_role(data) for data in kit.reply(host.run(agent.roles(root)))["roles"]]


def log_since(host: Host, root: str, name: str, offset: int, limit_bytes: int = 1 << 16) -> tuple[str, int]:
    """A part of a role's log from a byte offset on, and the offset of the part after it."""
    answer = kit.reply(host.run(agent.log(root, name, offset, limit_bytes)))
    return str(answer["text"]), int(answer["offset"])


def log_tail(host: Host, root: str, name: str, limit_bytes: int = 4096) -> str:
    """The end of a role's log."""
    return str(kit.reply(host.run(agent.log(root, name, -limit_bytes, limit_bytes)))["text"])


def last_lines(host: Host, root: str, name: str, count: int = 20) -> str:
    return "\n".join(log_tail(host, root, name).splitlines()[-count:])
