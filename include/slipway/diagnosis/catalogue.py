"""The catalogue of signatures, from ``signatures.json`` beside this module."""

from __future__ import annotations

import enum
import functools
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


class Kind(enum.StrEnum):
    """What helps against a cause."""

    PERMANENT = "permanent"
    """Nothing but a change."""
    RETRY = "retry"
    """The same again may work."""
    HOST = "host"
    """A host must be mended."""
    SECURITY = "security"
    """A person must decide."""


@dataclass(frozen=True)
class Signature:
    """What one cause looks like in a log.

    ``programs`` are those whose logs are searched: vllm, ray, kernel. ``phase`` is what was being done. ``rank`` orders
    causes that are found together: 1 names the thing itself, 2 may follow from one of 1, 3 only says that something
    ended. ``cause`` may hold named groups of the pattern in braces. ``key`` is the deployment file's key to change.
    """

    id: str
    pattern: re.Pattern[str]
    programs: frozenset[str]
    phase: str
    kind: Kind
    rank: int
    cause: str
    advice: str
    key: str | None
    sample: str | None
    """A line of the real program where it could not be provoked for the corpus of tests."""
    restarts: int | None = None
    """How often it helps within minutes to start a server again that was up and ended by this; None: as often as the
    agent may. By default that is so where the same again may work, and never else."""

    def said(self, match: re.Match[str]) -> str:
        """The cause in words, with what the line names."""
        named = {name: value for name, value in match.groupdict().items() if value}
        return self.cause.format_map(defaultdict(lambda: "?", named))


@functools.cache
def catalogue() -> tuple[Signature, ...]:
    """Every signature, in the file's order."""
    text = files("slipway.diagnosis").joinpath("signatures.json").read_text(encoding="utf-8")
    return tuple(_parse(row) for row in json.loads(text))


def _parse(row: dict[str, Any]) -> Signature:
    kind = Kind(row["kind"])
    restarts = row.get("restarts", None if kind is Kind.RETRY else 0)
    parsed = {
        "restarts": restarts,
        "pattern": re.compile(row["pattern"]),
        "programs": frozenset(row["programs"]),
        "kind": kind,
    }
    return Signature(**{**row, **parsed})
