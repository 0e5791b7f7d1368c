"""How a server starts: the phases of its start, read from the lines of vLLM's own log. Pure.

A phase begins with the first line that speaks of it, by that line's own time, and ends where the next one begins. vLLM
gives whole seconds, Ray milliseconds. Lines of Ray's workers come late and out of order: only times count.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

FIRST, LAST = "process", "completion"

BEGINS: Mapping[str, re.Pattern[str]] = {
    "ray": re.compile(
        r"Connecting to existing Ray cluster|[Cc]reating a (?:new )?placement group|Using the existing placement group"
    ),
    "collectives": re.compile(
        r"world_size=\d+ rank=\d+ local_rank=\d+ distributed_init_method=|rank \d+ in world size \d+ is assigned"
    ),
    "weights": re.compile(r"Starting to load model |Loading model from scratch"),
    "compile": re.compile(r"Loading weights took |Model loading took "),
    "graphs": re.compile(r"Graph capturing finished in (?P<before_s>\d+) secs"),
    LAST: re.compile(r"Graph capturing finished|init engine \(.*\) took |Starting vLLM (?:API )?server"),
}
"""What begins each phase after the first, in their order: Ray's placement, collectives, weights, all between them and
the graphs (profiling, torch.compile, the KV cache), the graphs, whose line comes at their end, and what is left until
the first completion."""

PHASES = (FIRST, *BEGINS)

STARTED = "Application startup complete"
STARTED_AGAIN = re.compile(r"^\[slipway agent\] \S+ ended unasked .* will be started again")
WAITS = re.compile(r"Waiting for |No available shared memory broadcast block|cannot be scheduled right now")
"""What is said again and again by somebody who waits: no sign that anything moves."""

CACHE_HIT = re.compile(r"Directly load (?:AOT compilation from path|the compiled graph\(s\) for compile)")
CACHE_MISS = re.compile(r"Compiling a graph for compile range|saved AOT compiled function to")
"""What torch.compile took from vLLM's cache on the host, and what it made anew: a line a graph, or a whole function.
Ray shows alike lines of several ranks once."""

_COMPILATION = re.compile(r"init engine \(.*\(compilation: (\d+(?:\.\d+)?) s")
_PERCENT = re.compile(
    r"(?:(?P<weights>[Ll]oading [\w ]*shards)|(?P<graphs>Capturing CUDA graphs[^:]*)):\s+(?P<percent>\d+)%"
)
_PLACEMENT_WAIT = re.compile(r"Waiting for creating a placement group of specs for (\d+) seconds")
_VLLM_TIME = re.compile(r"\b(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) (\d\d)-(\d\d) (\d\d):(\d\d):(\d\d) \[")
_RAY_TIME = re.compile(r"\b(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d),(\d{3})\s")


@dataclass(frozen=True)
class Phase:
    """One phase: ``began_s`` after the start of the process, and for ``seconds``."""

    name: str
    began_s: float
    seconds: float


@dataclass(frozen=True)
class CompileCache:
    """What a start took from vLLM's compile cache, and what it compiled; ``compile_s`` where vLLM says it."""

    hits: int = 0
    misses: int = 0
    compile_s: float | None = None

    @property
    def told(self) -> str:
        seconds = "" if self.compile_s is None else f", compiling took {self.compile_s:.1f} s"
        return f"compile cache: {self.hits} hits, {self.misses} misses{seconds}"


class StartLog:
    """The log of one start, taken in line by line. ``began_at`` is when the process began, in seconds since 1970;
    ``utc_offset_s`` how far the host's clock on the wall is before UTC, since vLLM writes local times."""

    def __init__(self, began_at: float, utc_offset_s: float = 0.0) -> None:
        self.began_at = began_at
        self._utc_offset_s = utc_offset_s
        self._reset()

    def _reset(self) -> None:
        self._begins = {FIRST: self.began_at}
        self._bar: tuple[str, int] = (FIRST, 0)
        self.placement_wait_s = 0
        self.complete = False
        self.cache = CompileCache()

    @property
    def phase(self) -> str:
        """The phase that the start is in."""
        return max(*self._begins, self._bar[0], key=PHASES.index)

    def read(self, line: str) -> None:
        """Take in a line. What stands before the line by which the agent starts the server again is forgotten."""
        if STARTED_AGAIN.match(line):
            self._reset()
        if time := self._time(line):
            self._note(line, time)
        if bar := _PERCENT.search(line):
            self._bar = ("weights" if bar["weights"] else "graphs", int(bar["percent"]))
        self._note_cache(line)
        if waits := _PLACEMENT_WAIT.search(line):
            self.placement_wait_s = int(waits[1])
        self.complete = self.complete or STARTED in line

    def phases(self, ended_at: float) -> list[Phase]:
        """The phases so far, with ``ended_at`` (seconds since 1970) as the end of the last."""
        names = sorted(self._begins, key=PHASES.index)
        begins = [self.began_at]
        for name in names[1:]:
            begins.append(max(begins[-1], self._begins[name]))
        ends = [*begins[1:], max(ended_at, begins[-1])]
        return [
            Phase(name, round(begin - self.began_at, 3), round(end - begin, 3))
            for name, begin, end in zip(names, begins, ends, strict=True)
        ]

    def told(self) -> str:
        """Where the start is, in words."""
        name, percent = self._bar
        return f"{name} {percent}%" if name == self.phase != FIRST else self.phase

    def _note(self, line: str, time: float) -> None:
        for name, pattern in BEGINS.items():
            if match := pattern.search(line):
                begin = time - float(match.groupdict().get("before_s") or 0)
                self._begins[name] = min(begin, self._begins.get(name, begin))

    def _note_cache(self, line: str) -> None:
        if CACHE_HIT.search(line):
            self.cache = replace(self.cache, hits=self.cache.hits + 1)
        elif CACHE_MISS.search(line):
            self.cache = replace(self.cache, misses=self.cache.misses + 1)
        elif took := _COMPILATION.search(line):
            self.cache = replace(self.cache, compile_s=float(took[1]))

    def _time(self, line: str) -> float | None:
        """A line's own time, in seconds since 1970; None where it has none."""
        if match := _RAY_TIME.search(line):
            *fields, milliseconds = map(int, match.groups())
            return self._utc(fields) + milliseconds / 1000
        if match := _VLLM_TIME.search(line):
            return self._nearest([int(field) for field in match.groups()])
        return None

    def _nearest(self, fields: Sequence[int]) -> float | None:
        """vLLM leaves the year out: it is that which brings the line nearest to the begin of the process."""
        year = datetime.fromtimestamp(self.began_at, UTC).year
        times = [self._utc([each, *fields]) for each in (year - 1, year, year + 1) if _is_day(each, *fields[:2])]
        return min(times, key=lambda time: abs(time - self.began_at), default=None)

    def _utc(self, fields: Sequence[int]) -> float:
        year, month, day, hour, minute, second = fields
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp() - self._utc_offset_s


def _is_day(year: int, month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def as_data(phases: Iterable[Phase]) -> list[dict[str, Any]]:
    """As JSON keeps them."""
    return [asdict(phase) for phase in phases]


def told(phases: Iterable[Mapping[str, Any]]) -> str:
    """Kept phases in a line."""
    return ", ".join(f"{phase['name']} {phase['seconds']:.1f}" for phase in phases)
