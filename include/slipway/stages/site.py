"""A deployment and its hosts, open for work; and the three steps of every stage: look, plan, act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from slipway.commands import agent, kit
from slipway.commands.agent import Role
from slipway.errors import HostError, NotConverged
from slipway.hosts import Host, checked, on_each, on_each_fit
from slipway.shell import Command
from slipway.spec import DeploymentSpec


@dataclass(frozen=True)
class Action:
    """One command that changes a host, and why. ``starts`` are the command lines that the host's agent runs for it.

    ``ends_service`` says that the endpoint answers no more from then on.
    """

    host: str
    command: Command
    why: str
    starts: Sequence[Command] = ()
    ends_service: bool = False


def starting(host: str, root: str, role: Role, why: str) -> Action:
    """Have the agent on a host start a role."""
    return Action(host, agent.start(root, role), why, role.steps)


LONGEST_LINE = 8000
"""Characters of a command line that are kept."""

Round = Sequence[Action]
"""Actions that may run at the same time, on different hosts."""

Plan = Iterator[Round]

Say = Callable[[str], None]
"""Where a line for the person who watches goes."""


@dataclass(frozen=True)
class Outcome:
    """What a stage did: how many commands acted, and what is worth keeping (JSON, without secrets)."""

    actions: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        return f"{self.actions} acting commands" if self.actions else "already so: nothing done"


@dataclass(frozen=True)
class Site:
    """The deployment and its open hosts. ``lock`` is the text of the lock file, ``say`` writes a line to the log.

    ``out_of_reach`` are hosts of the deployment that are not among ``hosts``, and why: only where a stage can do
    without them. ``on_downtime`` is called right before a server is stopped, ``on_progress`` with a host's name and how
    far its long job is. ``hub_token`` and ``api_key`` give the hub's token and the server's key by the
    connections that the file names, empty where it names none. ``commands`` are the command lines that acted so far,
    with host and reason. ``load_hosts`` are the machines of ``benchmark.workers``, which nothing was put on yet.
    """

    spec: DeploymentSpec
    hosts: Mapping[str, Host]
    lock: str = ""
    say: Say = print
    on_downtime: Callable[[], None] = lambda: None
    on_progress: Callable[[str, str], None] = lambda _host, _line: None
    hub_token: Callable[[], str] = lambda: ""
    api_key: Callable[[], str] = lambda: ""
    out_of_reach: Mapping[str, HostError] = field(default_factory=dict)
    commands: list[dict[str, str]] = field(default_factory=list)
    load_hosts: Mapping[str, Host] = field(default_factory=dict)

    @property
    def root(self) -> str:
        return self.spec.root

    @property
    def commanded(self) -> dict[str, Any]:
        """For a stage's detail: every command line that acted, also where the stage failed after it."""
        return {"commands": self.commands} if self.commands else {}

    @property
    def head(self) -> Host:
        return self.hosts[self.spec.head.name]

    def prepare(self) -> None:
        """Put Slipway's own programs on each host where they are not there yet."""
        on_each(self.hosts.values(), lambda host: prepare(host, self.root))

    def within_reach(self) -> Site:
        """Prepare what can be prepared: this deployment with those hosts alone."""
        fit, unfit = on_each_fit(self.hosts.values(), lambda host: prepare(host, self.root))
        return replace(self, hosts={name: self.hosts[name] for name in fit}, out_of_reach=unfit)


def prepare(host: Host, root: str) -> None:
    """Put Slipway's own programs below ``root`` on a host, where they are not there yet."""
    if not host.run(kit.installed(root)).ok:
        checked(host.run(kit.install(root)), hint=f"is `root: {root}` writable there?")


def ends_service(plan: Iterable[Round]) -> bool:
    """Whether a plan stops a server that answers."""
    return any(action.ends_service for step in plan for action in step)


def act(site: Site, plan: Iterable[Round]) -> int:
    """Run a plan round by round; answers how many commands acted. Stops at the first round that fails."""
    count = 0
    for step in plan:
        for action in step:
            site.say(f"[{action.host}] {action.why}")
            site.commands.extend(told(action))
        if ends_service([step]):
            site.on_downtime()
        _do_round(site, {action.host: action.command for action in step})
        count += len(step)
    return count


def told(action: Action) -> list[dict[str, str]]:
    """Each command line of an action, with its host and why: those that the agent runs for it, or its own."""
    lines = [command.line() for command in action.starts] or [action.command.line()]
    return [{"host": action.host, "why": action.why, "line": line[:LONGEST_LINE]} for line in lines]


def _do_round(site: Site, commands: Mapping[str, Command]) -> None:
    on_each([site.hosts[name] for name in commands], lambda host: _do(host, commands[host.name]))


def _do(host: Host, command: Command) -> None:
    result = host.run(command)
    if kit.spoken(command):
        _require_stopped(host, kit.reply(result))
    else:
        checked(result)


def _require_stopped(host: Host, answer: Mapping[str, Any]) -> None:
    """Raises NotConverged where something outlived the stop of its role: a process that was killed may take a while to
    end, and what comes next would be refused for good."""
    if answer.get("stopped") is False:
        left = ", ".join(map(str, answer.get("left", ())))
        raise NotConverged(f"[{host.name}] processes are alive after the stop: {left}", hint="do it again")
