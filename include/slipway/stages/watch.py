"""A start of the server while it is watched: by its log, its agents, and what its processes use up."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from slipway.commands import openai, python_env, vllm
from slipway.errors import NotPlaced, NotReady, ServerWedged
from slipway.facts import ray as clusters
from slipway.facts.progress import Counters, counters, moved
from slipway.facts.role import RoleState, log_since, role
from slipway.facts.vllm import MISSES, Pulse, answers, pulse, wedged
from slipway.hosts import on_each
from slipway.results.startup import WAITS, CompileCache, Phase, StartLog, as_data, told
from slipway.stages import ray_cluster, serve
from slipway.stages.site import Outcome, Site

PART_BYTES = 1 << 16
MOST_PARTS = 64
"""How much of a log is read in one look, and how often: 4 MiB, which no start fills."""

LINE_END = re.compile(r"\r\n|\n|\r")
"""Progress bars end their lines by going back to their begin."""

TAIL = 1 << 20
"""How much of the end of a log is read where the server was started again and is up."""


@dataclass(frozen=True)
class Mark:
    """How far a watch has come, so that another process can go on: JSON through and through.

    ``shown`` is the byte of the log up to which it was said; ``moved_at`` is when something moved last, in seconds
    since 1970.
    """

    shown: int = 0
    moved_at: float = 0.0


class Watch:
    """One server that starts, or is up already.

    ``deadline_at`` (seconds since 1970) is the end of all patience. ``known`` is the begin of the last start whose
    phases are kept already: its log is not read again. ``detail`` says how far the start is, as JSON.
    """

    def __init__(self, site: Site, deadline_at: float, mark: Mark = Mark(), known: float | None = None) -> None:
        self._site = site
        self._name = vllm.role_name(site.spec)
        self._deadline_at, self._known = deadline_at, known
        self._shown, self._moved_at = mark.shown, mark.moved_at or time.time()
        self._offset, self._from_tail, self._rest = 0, False, ""
        self._log: StartLog | None = None
        self._counters: Mapping[str, Counters] = {}
        self._pulses: list[Pulse] = []
        self._asked_ray_after_s = 0
        self.starting = True

    @property
    def mark(self) -> Mark:
        return Mark(self._shown, self._moved_at)

    @property
    def detail(self) -> dict[str, Any]:
        """The phases until now."""
        if self._log is None:
            return {}
        now = time.time()
        return {"phase": self._log.told(), "phases": as_data(self._log.phases(now)), "log_offset": self._shown}

    def look(self) -> Outcome | None:
        """Look once. None: it is not ready yet, and there is reason to wait.

        Raises ServerDied at once when a part of the server or of its Ray cluster ended, without which it would wait in
        vain; NotPlaced when Ray has no room for it; ServerWedged for an engine that was up and hangs; NotReady when
        nothing moves any more, or time is spent.
        """
        state = role(self._site.head, self._site.root, self._name)
        self._begin(state)
        if self._log is not None and not (state.ready_at and state.began_at == self._known):
            self._follow(self._log)
        serve.require_alive(self._site)
        if state.ready_at and (seconds := self._completion(state)) is not None:
            return self._ready(state, state.ready_at, seconds)
        ray_cluster.require_alive(self._site)
        self._require_placed()
        self._require_progress()
        return None

    def _begin(self, state: RoleState) -> None:
        """Take notice of a start: the first that is seen, or one more, by the agent."""
        if state.began_at is None or (self._log is not None and self._log.began_at == state.began_at):
            return
        self._look_at_counters()
        self.starting = state.ready_at is None or self._log is not None
        if self._log is None and state.ready_at and state.restarts:
            self._offset, self._from_tail = -TAIL, True
        offset_s = self._counters[self._site.head.name].utc_offset_s
        self._log = StartLog(state.began_at, offset_s)

    def _follow(self, log: StartLog) -> None:
        """Read on in the log, and say what was not said yet, with a line for each new phase."""
        for _ in range(MOST_PARTS):
            if log.complete and not self._from_tail:
                return
            new = self._offset >= self._shown
            limit = PART_BYTES if new else min(PART_BYTES, self._shown - self._offset)
            text, self._offset = log_since(self._site.head, self._site.root, self._name, self._offset, limit)
            if not text:
                return
            *lines, self._rest = LINE_END.split(self._rest + text)
            self._take(log, lines, new=new and self.starting)
            self._shown = max(self._shown, self._offset - len(self._rest.encode()))

    def _take(self, log: StartLog, lines: Sequence[str], *, new: bool) -> None:
        host = self._site.head.name
        for line in lines:
            before = log.told()
            log.read(line)
            if new:
                self._site.say(f"[{host}] {line}")
                if not WAITS.search(line):
                    self._moved_at = time.time()
                if log.told() != before:
                    self._site.say(f"phase: {log.told()}")

    def _completion(self, state: RoleState) -> float | None:
        """The seconds of a completion that was answered; None where it was not."""
        if self.starting:
            asked = openai.completion(self._site.spec, "Hello", max_tokens=1)
            [answer] = answers(self._site.head, self._site.spec, [asked])
            return float(answer["seconds"]) if answer.get("status") == 200 else None
        self._pulses.append(pulse(self._site.head, self._site.spec))
        if self._pulses[-1].status == 200:
            return self._pulses[-1].seconds
        require_not_wedged(self._site, self._pulses)
        return None

    def _ready(self, state: RoleState, ready_at: float, completion_s: float) -> Outcome:
        kept: dict[str, Any] = {"restarts": len(state.restarts)}
        if self._log is None or state.began_at == self._known:
            self._site.say("ready: a completion was answered; the server was up already")
            return Outcome(0, kept)
        phases = self._log.phases(ready_at + completion_s)
        seconds = phases[-1].began_s + phases[-1].seconds
        self._site.say(f"ready: a completion was answered {seconds:.1f} s after the start ({told(as_data(phases))})")
        cache = self._log.cache
        if cache != CompileCache():
            self._site.say(cache.told)
        return Outcome(0, {**kept, **_figure(self._log.began_at, seconds, phases), "cache": asdict(cache)})

    def _require_placed(self) -> None:
        """Raises NotPlaced when Ray's placement group waits while every GPU is there: somebody else holds them."""
        log = self._log
        if log is None or log.phase != "ray" or log.placement_wait_s <= self._asked_ray_after_s:
            return
        self._asked_ray_after_s = log.placement_wait_s
        seen = clusters.cluster(self._site.head, self._site.spec, python_env.python(self._site.spec, self._site.lock))
        if held_by := clusters.in_the_way(self._site.spec, seen):
            raise NotPlaced(
                f"[{self._site.head.name}] Ray has had no room for the server for {log.placement_wait_s} s, though "
                f"all {self._site.spec.gpus} GPUs are there; held by {held_by}",
                hint="end what holds them, or move this deployment; then clear the ray_cluster task",
            )

    def _require_progress(self) -> None:
        """Raises NotReady where nothing moved for ``serve.no_progress_s``, or the time is spent."""
        serving, now, host = self._site.spec.serve, time.time(), self._site.head.name
        if self._look_at_counters():
            self._moved_at = now
        where = f"in the phase {self._log.told()}" if self._log else "before it began"
        still_s = now - self._moved_at
        if self.starting and still_s > serving.no_progress_s:
            raise NotReady(
                f"[{host}] the server stands still {where}: for {still_s:.0f} s no new line in its log, and none of its"
                f" processes computed, read or took GPU memory",
                hint="look at the last lines above; raise serve.no_progress_s only if such silence is right here",
            )
        if now > self._deadline_at:
            raise NotReady(
                f"[{host}] no completion within {serving.ready_timeout_s} s; the server is {where}",
                hint="raise serve.ready_timeout_s if it still loads",
            )

    def _look_at_counters(self) -> str:
        """Look at every host; what moved since the look before, in words, empty where nothing did."""
        seen = on_each(self._site.hosts.values(), lambda host: counters(host, self._site.spec, time.monotonic()))
        before, self._counters = self._counters, seen
        said = {name: moved(before[name], seen[name]) for name in seen if name in before}
        return "; ".join(f"{name} {what}" for name, what in said.items() if what)


def require_not_wedged(site: Site, pulses: list[Pulse]) -> None:
    """Raises ServerWedged where the last looks say that the engine hangs."""
    if wedged(pulses):
        seconds = sum(each.seconds for each in pulses[-MISSES:])
        raise ServerWedged(
            f"[{site.head.name}] the engine hangs: {MISSES} completions of one token were not answered within"
            f" {seconds:.0f} s and it counted no token meanwhile, while /health says 200",
            hint="with serve.restart its agent starts it again within a minute; else tear it down and deploy again",
        )


def _figure(began_at: float, seconds: float, phases: list[Phase]) -> dict[str, Any]:
    return {"began_at": began_at, "time_to_ready_s": round(seconds, 3), "phases": as_data(phases)}
