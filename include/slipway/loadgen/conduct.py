"""The one process that conducts a cell: it sets the window when all users are there, and ends the run.

With one process it is also the one that makes the load; with several it is Locust's master, which makes none.
"""

from __future__ import annotations

import http.client
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

from slipway.loadgen.ask import address
from slipway.results.cell import METRICS_FILES, WINDOW_FILE, Window
from slipway.results.plan import LoadPlan

WINDOW = "slipway_window"
DONE = "slipway_done"
"""Messages between Locust's processes: here is the window, and: my share is done."""

SPARE_S = 45.0
"""How much longer than its plan a load process may take to report, before it counts as lost."""

PROGRESS_S = 5.0
Tally = dict[str, int]
UNFINISHED, LOST = 4, 3
"""Exit codes: the cell was stopped before its end, or a load process was lost. Failed requests are results, so 0."""


class Conductor:
    """Runs a cell on a Locust ``environment``; ``own`` is the tally of this process where it makes load itself."""

    def __init__(self, plan: LoadPlan, environment: Any, own: Callable[[], Tally] | None = None) -> None:
        self._own = own
        self._plan = plan
        self._environment = environment
        self._missing = plan.processes
        self._all_done = Event()
        self._tallies: dict[str, Tally] = {}
        self._phase = "spawning"
        environment.process_exit_code = UNFINISHED

    def begin(self) -> None:
        """All users are there. Answers at once; the cell goes on in a greenlet of its own."""
        gevent.spawn(self._conduct)

    def note_done(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._all_done.set()

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
            print(f"{self._phase}: {total['users']} users, {done}, {rate:.0f} tok/s", file=sys.stderr)  # noqa: T201

    def _all_tallies(self) -> list[Tally]:
        return [self._own()] if self._own else list(self._tallies.values())

    def _conduct(self) -> None:
        start_ns = time.time_ns() + int(self._plan.warmup_s * 1e9)
        window = Window(start_ns, start_ns + int(self._plan.seconds * 1e9))
        self._environment.runner.send_message(WINDOW, {"start_ns": window.start_ns, "end_ns": window.end_ns})
        self._phase = "warm-up"
        self._read_metrics(METRICS_FILES[0], window.start_ns)
        self._phase = "measuring"
        self._read_metrics(METRICS_FILES[1], window.end_ns)
        self._phase = "letting answers end"
        whole = self._all_done.wait(self._plan.drain_s + SPARE_S)
        if whole:
            kept = json.dumps({"start_ns": window.start_ns, "end_ns": window.end_ns})
            Path(self._plan.folder, WINDOW_FILE).write_text(kept, encoding="utf-8")
        else:
            lost = f"{self._missing} of {self._plan.processes} load processes did not report"
            print(f"{lost}; were they killed for memory?", file=sys.stderr)  # noqa: T201
        self._environment.process_exit_code = 0 if whole else LOST
        self._environment.runner.quit()

    def _read_metrics(self, name: str, moment_ns: int) -> None:
        """Keep what the server says of itself at one end of the window; a server without ``/metrics`` is no fault."""
        gevent.sleep(max(0.0, (moment_ns - time.time_ns()) / 1e9))
        link = http.client.HTTPConnection(*address(self._plan.base_url), timeout=10)
        try:
            link.request("GET", "/metrics")
            answer = link.getresponse()
            if answer.status == 200:
                Path(self._plan.folder, name).write_bytes(answer.read())
        except (OSError, http.client.HTTPException) as error:
            print(f"no /metrics: {error}", file=sys.stderr)  # noqa: T201
        finally:
            link.close()


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
