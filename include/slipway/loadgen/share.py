"""One process's share of a cell: its users' loop, its rows, its health. Knows gevent, not Locust."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import IO

import gevent
from gevent.event import AsyncResult, Event

from slipway.loadgen.answer import Answer
from slipway.loadgen.ask import Asking, Request, address
from slipway.loadgen.clock import Offset
from slipway.loadgen.prompts import load_prompts
from slipway.loadgen.schedule import Schedule
from slipway.loadgen.tls import open_context
from slipway.loadgen.transport import Line, Transport, connect_error
from slipway.results.cell import Window
from slipway.results.plan import LoadPlan
from slipway.results.rows import CUT, Row

PAUSE_S = 1.0
"""A failed request and the user's next one lie at least this far apart, so that a dead server is not hammered."""

LONGEST_PAUSE_S = 30.0
"""A longer Retry-After is not waited for."""

CONNECT_S = 30.0
SAVE_EVERY_S = 1.0

IDLE_S = 3.0
"""A connection that has been idle for longer is not used again: vLLM closes it after 5 seconds."""

Heard = Callable[[Row], None]
"""Told of each row, as it is written."""


class Share:
    """Users call :meth:`take_part`; whoever conducts the cell calls :meth:`measure` with its window.

    On another host the clock is off by ``clock``; window and rows have the conducting machine's times.
    """

    def __init__(
        self, plan: LoadPlan, *, index: int = 0, heard: Heard | None = None, clock: Offset | None = None
    ) -> None:
        self._plan = plan
        self._clock = clock or Offset()
        self._heard = heard
        self._transport = Transport(*address(plan.base_url), open_context(plan.base_url, plan.ca_file))
        prompts = load_prompts(plan.prompts_path)
        self._asking = Asking(plan, prompts, offset=max(index, 0), step=plan.processes)
        rows = Path(plan.folder, f"rows-{os.getpid()}.jsonl")
        self._rows: IO[str] = rows.open("w", encoding="utf-8")
        self._schedule = Schedule(plan, prompts, max(index, 0), random.Random())  # noqa: S311 - spaces requests
        self._window: AsyncResult = AsyncResult()
        self._idle: list[tuple[Line, int]] = []
        self._closing = Event()
        self._talking = 0
        self._users = 0
        self._missed = 0
        self.requests = self.failures = self.tokens = 0
        self._saver = gevent.spawn(self._save_rows)

    def tally(self) -> dict[str, int]:
        """What was done so far, for the progress line."""
        return {"users": self._talking, "requests": self.requests, "failures": self.failures, "tokens": self.tokens}

    def take_part(self) -> None:
        """What one Locust user does, from now until the cell closes."""
        if self._plan.users:
            self.converse()
        else:
            self.arrive()

    def arrive(self) -> None:
        """Ask when the schedule says so, however many are still waiting for their answers."""
        window: Window = self._window.get()
        dues = self._schedule.arrivals_ns(window)
        for due_ns in dues:
            request = self._asking.next()
            if self._closing.wait(max(0.0, (due_ns - time.time_ns()) / 1e9)):
                left = takewhile(lambda each: each < window.end_ns, dues)
                self._missed = (due_ns < window.end_ns) + sum(1 for _ in left)
                return
            gevent.spawn(self._ask_once, request, self._users, due_ns)
            self._users += 1

    def converse(self) -> None:
        """One user: ask, wait for the answer, ask again, until the cell closes."""
        user, line = self._users, None
        self._users += 1
        try:
            due_ns = self._turn_ns(user, time.time_ns())
            while due_ns is not None:
                line, free_ns = self._ask_again(line, user, due_ns)
                due_ns = self._turn_ns(user, free_ns)
        finally:
            if line is not None:
                self._transport.hang_up(line)

    def _turn_ns(self, user: int, after_ns: int) -> int | None:
        """When the user is due next, once that moment has come; None where the cell closes first, or there is none."""
        if not self._plan.steps:
            return None if self._closing.is_set() else after_ns
        turn_ns = self._schedule.turn_ns(user, after_ns, self._window.get())
        if turn_ns is None:
            return None
        return None if self._closing.wait(max(0.0, (turn_ns - time.time_ns()) / 1e9)) else turn_ns

    def _ask_again(self, line: Line | None, user: int, due_ns: int) -> tuple[Line | None, int]:
        """One request of a closed loop; answers its connection, and when the user is due again."""
        self._talking += 1
        request = self._asking.next()
        answer = Answer(request.output_tokens)
        try:
            line = self._ask(line, request, answer)
            self._write(self._row(user, request, answer, due_ns))
        finally:
            self._talking -= 1
        return line, self._pause(answer, due_ns) if answer.error else answer.ended_ns

    def _ask_once(self, request: Request, number: int, due_ns: int) -> None:
        """One request of an open loop, on an idle connection where there is one."""
        self._talking += 1
        answer = Answer(request.output_tokens)
        try:
            line = self._ask(self._idle_line(), request, answer)
            self._write(self._row(number, request, answer, due_ns))
            if line is not None and line.open:
                self._idle.append((line, answer.ended_ns))
        finally:
            self._talking -= 1

    def _idle_line(self) -> Line | None:
        """The connection that was used last; those that were idle for too long are closed."""
        oldest_ns = time.time_ns() - int(IDLE_S * 1e9)
        while self._idle:
            line, since_ns = self._idle.pop()
            if line.open and since_ns > oldest_ns:
                return line
            self._transport.hang_up(line)
        return None

    def measure(self, window: Window) -> None:
        """Keep the process's health over the window; then let answers end, cut the rest, and close the files."""
        window = Window(window.start_ns + self._clock.ahead_ns, window.end_ns + self._clock.ahead_ns)
        self._window.set(window)
        _sleep_until(window.start_ns)
        began = self._reading()
        _sleep_until(window.end_ns)
        health: dict[str, float | str] = {name: value - began[name] for name, value in self._reading().items()}
        self._closing.set()
        self._drain()
        health |= {"missed": self._missed, "host": self._plan.host}
        health |= {"clock_ahead_s": self._clock.ahead_ns / 1e9, "clock_bound_s": self._clock.bound_ns / 1e9}
        Path(self._plan.folder, f"clients-{os.getpid()}.json").write_text(json.dumps(health), encoding="utf-8")

    def _drain(self) -> None:
        deadline = time.monotonic() + self._plan.drain_s
        while self._talking and time.monotonic() < deadline:
            gevent.sleep(0.05)
        self._transport.cut()
        while self._talking and time.monotonic() < deadline + CONNECT_S:
            gevent.sleep(0.05)
        self._saver.kill()
        self._transport.close()
        self._rows.close()

    def _reading(self) -> dict[str, float]:
        wall_s, steady_s = time.time(), time.monotonic()
        return {
            "cpu_s": time.process_time(),
            "window_s": steady_s,
            "reads": self._transport.reads,
            "unstamped_reads": self._transport.unstamped_reads,
            "clock_step_s": wall_s - steady_s,
        }

    def _ask(self, line: Line | None, request: Request, answer: Answer) -> Line | None:
        """One exchange, on a new connection where the old one is gone."""
        began_ns = time.time_ns()
        try:
            if line is None or not line.open:
                line = self._transport.connect(min(CONNECT_S, self._plan.request_timeout_s))
                answer.connect_us = (time.time_ns() - began_ns) // 1000
        except OSError as error:
            answer.fail(connect_error(error), str(error), time.time_ns())
            return None
        self._transport.exchange(line, request.text, answer, self._plan.request_timeout_s)
        return line

    def _pause(self, answer: Answer, due_ns: int) -> int:
        """Wait after a failure; answers when the user is due again."""
        asked_s = answer.head.retry_after_s if answer.head else 0.0
        rest_s = PAUSE_S - (answer.ended_ns - (answer.sent_ns or due_ns)) / 1e9
        pause_s = min(max(asked_s, rest_s, 0.0), LONGEST_PAUSE_S)
        self._closing.wait(pause_s)
        return max(answer.ended_ns + int(pause_s * 1e9), due_ns)

    def _row(self, user: int, request: Request, answer: Answer, due_ns: int) -> Row:
        at = self._told_ns
        return Row(
            id=request.id,
            user=user,
            error=answer.error,
            detail=answer.detail,
            status=answer.head.status if answer.head else 0,
            scheduled_ns=at(due_ns + answer.connect_us * 1000),
            sent_ns=at(answer.sent_ns),
            first_event_ns=at(answer.first_event_ns),
            first_token_ns=at(answer.first_token_ns),
            first_content_ns=at(answer.first_content_ns),
            last_token_ns=at(answer.last_token_ns),
            ended_ns=at(answer.ended_ns),
            gaps_us=answer.gaps_us,
            gap_tokens=answer.gap_tokens,
            first_tokens=answer.first_tokens,
            first_read_tokens=answer.first_read_tokens,
            late_us=answer.late_us,
            merged_tokens=answer.merged_tokens,
            counted_tokens=answer.tokens,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            asked_prompt_tokens=request.prompt_tokens,
            asked_output_tokens=request.output_tokens,
            received_bytes=answer.received_bytes,
            connect_us=answer.connect_us,
            host=self._plan.host,
        )

    def _told_ns(self, here_ns: int) -> int:
        """A moment by the conducting machine's clock; 0 stays 0."""
        return here_ns - self._clock.ahead_ns if here_ns else 0

    def _write(self, row: Row) -> None:
        self._rows.write(f"{row.to_json()}\n")
        self.tokens += row.counted_tokens
        if row.error:
            self.failures += row.error != CUT
        else:
            self.requests += 1
            self._asking.exact = self._asking.exact or row.counted_tokens != row.output_tokens
        if self._heard:
            self._heard(row)

    def _save_rows(self) -> None:
        while True:
            gevent.sleep(SAVE_EVERY_S)
            self._rows.flush()


def _sleep_until(moment_ns: int) -> None:
    while (left_s := (moment_ns - time.time_ns()) / 1e9) > 0:
        gevent.sleep(left_s)
