"""The one process that conducts a cell: it sets the window when all users are there, and ends the run.

With one process it is also the one that makes the load; with several it is Locust's master, which makes none.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import psutil
from gevent.event import Event

from slipway.loadgen.page import MetricsPage
from slipway.results.cell import METRICS_FILES, WINDOW_FILE, Window
from slipway.results.plan import LoadPlan
from slipway.results.prometheus import reading
from slipway.results.series import SERVER_FILE, moments_ns, server_line

WINDOW = "slipway_window"
HERE = "slipway_here"
DONE = "slipway_done"
"""Messages between Locust's processes: here is the window; I have come; and: my share is done."""

SPARE_S = 45.0
"""How much longer than its plan a load process may take to report, before it counts as lost."""

PROGRESS_S = 5.0
LATEST_LOOK_NS = 500_000_000
"""A moment to look at the server that lies further back than this is left out."""

Tally = dict[str, int]
UNFINISHED, LOST = 4, 3
"""Exit codes: the cell was stopped before its end, or a load process was lost. Failed requests are results, so 0."""


class Conductor:
    """Runs a cell on a Locust ``environment``; ``own`` is the tally of this process where it makes load itself."""

    def __init__(self, plan: LoadPlan, environment: Any, own: Callable[[], Tally] | None = None) -> None:
        self._own = own
        self._plan = plan
        self._environment = environment
        self._missing = Counter({"": plan.own_processes, **plan.workers})
        self._away = Counter(self._missing)
        self._all_done = Event()
        self._tallies: dict[str, Tally] = {}
        self._phase = "spawning"
        self._page = MetricsPage(plan)
        environment.process_exit_code = UNFINISHED

    def begin(self) -> None:
        """All users are there. Answers at once; the cell goes on in a greenlet of its own, whose fault ends it."""
        gevent.spawn(self._conduct).link_exception(lambda _: self._environment.runner.quit())

    def note_here(self, host: str) -> None:
        """A load process of this host is connected."""
        self._away[host] -= 1

    def note_done(self, host: str) -> None:
        self._missing[host] -= 1
        if not +self._missing:
            self._all_done.set()

    def name_the_late(self, after_s: float) -> None:
        """Say which load processes have not come by then; Locust gives up a moment later."""
        gevent.sleep(after_s)
        if +self._away:
            late = f"{self._counted(+self._away)} did not come within {after_s:g} s"
            print(late, file=sys.stderr)  # noqa: T201

    def _counted(self, some: Counter[str]) -> str:
        """``2 of 5 load processes (2 on load-2)``."""
        where = ", ".join(f"{count} on {host or 'this machine'}" for host, count in some.items())
        return f"{some.total()} of {self._plan.processes} load processes ({where})"

    def note_tally(self, client: str, tally: Tally) -> None:
        self._tallies[client] = tally

    def show_progress(self) -> None:
        """A line every five seconds, until the process ends."""
        tokens, at = 0, time.monotonic()
        while True:
            gevent.sleep(PROGRESS_S)
            total = sum((Counter(tally) for tally in self._all_tallies()), Counter[str]())
            now = time.monotonic()
            rate = (total["tokens"] - tokens) / (now - at)
            tokens, at = total["tokens"], now
            done = f"{total['requests']} requests done, {total['failures']} failed"
            load = f"{total['users']} {'users' if self._plan.users else 'requests under way'}"
            print(f"{self._phase}: {load}, {done}, {rate:.0f} tok/s", file=sys.stderr)  # noqa: T201

    def _all_tallies(self) -> list[Tally]:
        return [self._own()] if self._own else list(self._tallies.values())

    def _conduct(self) -> None:
        start_ns = time.time_ns() + int(self._plan.warmup_s * 1e9)
        window = Window(start_ns, start_ns + int(self._plan.seconds * 1e9))
        self._environment.runner.send_message(WINDOW, {"start_ns": window.start_ns, "end_ns": window.end_ns})
        self._phase = "warm-up"
        _sleep_until(window.start_ns)
        self._phase = "measuring"
        self._watch_server(window)
        _sleep_until(window.end_ns)
        self._phase = "letting answers end"
        whole = self._all_done.wait(self._plan.drain_s + SPARE_S)
        if whole:
            kept = json.dumps({"start_ns": window.start_ns, "end_ns": window.end_ns})
            Path(self._plan.folder, WINDOW_FILE).write_text(kept, encoding="utf-8")
        else:
            lost = f"{self._counted(+self._missing)} did not report; were they killed for memory?"
            print(lost, file=sys.stderr)  # noqa: T201
        self._environment.process_exit_code = 0 if whole else LOST
        self._environment.runner.quit()
        if self._environment.web_ui:
            self._environment.web_ui.stop()

    def _watch_server(self, window: Window) -> None:
        """Keep what the server says of itself through the window; one without ``/metrics`` is no fault.

        Moments that passed while it took its time to answer are left out, but not the last, and so are those at which
        it gave no answer.
        """
        moments = moments_ns(window.start_ns, window.end_ns)
        with Path(self._plan.folder, SERVER_FILE).open("w", encoding="utf-8", buffering=1) as kept:
            for moment_ns in moments:
                if moment_ns < time.time_ns() - LATEST_LOOK_NS and moment_ns not in (moments[0], moments[-1]):
                    continue
                _sleep_until(moment_ns)
                at_ns, said = time.time_ns(), self._page.read()
                if said is None and moment_ns == moments[0]:
                    return
                if said is None:
                    continue
                seen = reading(said.decode(errors="replace"))
                kept.write(f"{server_line(at_ns, seen)}\n")
                if moment_ns in (moments[0], moments[-1]):
                    name = METRICS_FILES[moment_ns == moments[-1]]
                    Path(self._plan.folder, name).write_bytes(said)


def _sleep_until(moment_ns: int) -> None:
    gevent.sleep(max(0.0, (moment_ns - time.time_ns()) / 1e9))


def end_children(timeout_s: float = 15.0) -> None:
    """Wait for this process's children, and kill those that do not end. They are left for Locust to collect."""
    deadline = time.monotonic() + timeout_s
    while (left := [child for child in psutil.Process().children() if _alive(child)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for child in left:
        child.kill()


def _alive(child: psutil.Process) -> bool:
    try:
        return bool(child.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
