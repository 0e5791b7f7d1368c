"""The preflight table: what was looked at on each host, how it was found, and what is to be done."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from slipway.errors import HostError


class State(enum.StrEnum):
    """What a check says of its host. Only FAIL keeps a deployment away."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """What one check found, in words, with the next step where there is one."""

    state: State
    found: str
    next_step: str = ""


def ok(found: str) -> Finding:
    return Finding(State.OK, found)


def warn(found: str, next_step: str) -> Finding:
    return Finding(State.WARN, found, next_step)


def fail(found: str, next_step: str) -> Finding:
    return Finding(State.FAIL, found, next_step)


@dataclass(frozen=True)
class Check:
    """One row of the table."""

    host: str
    name: str
    state: State
    found: str
    next_step: str = ""

    @property
    def words(self) -> str:
        """What was found, and what to do."""
        return f"{self.found}; next: {self.next_step}" if self.next_step else self.found


def unseen(host: str, name: str, error: HostError) -> Check:
    """The row of a host that could not be looked at."""
    return Check(host, name, State.FAIL, str(error).splitlines()[0].removeprefix(f"[{host}] "), error.hint)


def checks_of(detail: Mapping[str, Any]) -> list[Check]:
    """The rows back from what the stage has stored; none where it stored none."""
    return [Check(**{**row, "state": State(row["state"])}) for row in detail.get("checks", ())]


def failed(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if check.state is State.FAIL]


def verdict(checks: Sequence[Check]) -> str:
    """The first line: ``fit: 2 hosts, 24 checks``, or ``NOT fit: two: disk, ports (2 of 24 checks)``."""
    faults = failed(checks)
    if faults:
        names = _by_host(faults)
        told = "; ".join(f"{host}: {', '.join(found)}" for host, found in names.items())
        return f"NOT fit: {told} ({len(faults)} of {len(checks)} checks)"
    hosts = len({check.host for check in checks})
    warnings = sum(check.state is State.WARN for check in checks)
    told = f"fit: {_count(hosts, 'host')}, {_count(len(checks), 'check')}"
    return f"{told}, {_count(warnings, 'warning')}" if warnings else told


def told(checks: Sequence[Check]) -> Iterator[str]:
    """The verdict, then the table as aligned lines."""
    yield verdict(checks)
    rows = [("host", "check", "state", "found"), *((c.host, c.name, str(c.state), c.words) for c in checks)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        first = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        yield f"{first}  {row[3]}"


def _by_host(checks: Iterable[Check]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for check in checks:
        names.setdefault(check.host, []).append(check.name)
    return names


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
