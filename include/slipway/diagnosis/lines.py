"""Logs as their programs meant them: without colours, and without the marks of who speaks, which are kept beside."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass

COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
SPEAKER = re.compile(
    r"^\((?P<role>[A-Za-z][\w:.]*)(?P<rank>(?:[_ ][A-Z]{2}\d+)*)[^()]*?\bpid=\d+(?:, ip=(?P<ip>[^)\s]+))?\)\s?"
)
"""``(EngineCore pid=7)``, ``(Worker_TP1 pid=7)``, ``(RayWorkerProc pid=7, ip=10.0.0.2)``."""
REPEATED = re.compile(r"\s*\[repeated \d+x across cluster\].*$")
LONGEST_LINE = 2000


@dataclass(frozen=True)
class Source:
    """One log of one host. ``program`` is vllm, ray or kernel; ``name`` is the log's own name."""

    host: str
    program: str
    name: str
    text: str


@dataclass(frozen=True)
class Speaker:
    """Who said a line: the process by its role, and the address of its host, where the line says so."""

    role: str = ""
    address: str = ""


class Cleaned:
    """A log's text without marks; each place in it is still known by line and speaker."""

    def __init__(self, text: str) -> None:
        lines = [_split(COLOURS.sub("", line)[:LONGEST_LINE]) for line in text.splitlines()]
        self.lines = [line for _, line in lines]
        self.speakers = [speaker for speaker, _ in lines]
        self.text = "\n".join(self.lines)
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def number(self, position: int) -> int:
        """The line, counted from 0, that a place in ``text`` is in."""
        return bisect.bisect_right(self._starts, position) - 1


def _split(line: str) -> tuple[Speaker, str]:
    """Who speaks, and the rest. Marks may stand one behind the other: the last is the process itself."""
    role = address = ""
    while mark := SPEAKER.match(line):
        role, address = mark["role"] + mark["rank"], mark["ip"] or address
        line = line[mark.end() :]
    return Speaker(role, address), REPEATED.sub("", line)
