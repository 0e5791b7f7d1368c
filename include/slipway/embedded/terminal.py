"""A DAG run in the terminal: a live table, or one line a change where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from slipway.embedded.answers import UNMAPPED, Run, TaskInstance, in_order
from slipway.embedded.rest import AirflowClient
from slipway.embedded.rows import Bar, Progress, Row, expected_seconds, fitting, rows
from slipway.errors import AirflowRefused, AirflowUnreachable, NotReady

POLL_S = 1.0
OUTAGE_S = 60.0
"""How long Airflow's API may give no answer: its keeper starts it again within this time."""
LOOK_EVERY_S = 10.0
LOG_LINES = 20
BAR_CELLS = 24
FRAME_LINES = 5
"""What the table needs beside its rows: title, head, rule, and the line below."""

PASSING = ("scheduled", "queued")
"""States that a task only passes through; they get no line of their own."""

STYLES = {
    "success": "green",
    "running": "cyan",
    "deferred": "cyan",
    "failed": "bold red",
    "upstream_failed": "red",
    "up_for_retry": "yellow",
    "restarting": "yellow",
    "awaiting_input": "magenta",
}


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and those of its tasks that failed themselves, in the order of the DAG."""

    run: Run
    failed: tuple[TaskInstance, ...]

    @property
    def ok(self) -> bool:
        return self.run.state == "success"


@dataclass(frozen=True)
class Picture:
    """What there is to show at one moment; ``silent_s`` is how long Airflow has given no answer."""

    run: Run
    rows: Sequence[Row]
    silent_s: float = 0.0

    def seconds(self) -> float:
        """The age of the run, or how long it took."""
        if self.run.started_at is None:
            return 0.0
        return max(0.0, ((self.run.ended_at or datetime.now(UTC)) - self.run.started_at).total_seconds())


class View(Protocol):
    def show(self, picture: Picture) -> None: ...


@dataclass
class LiveView:
    """Redraws one table in place."""

    live: Live

    def show(self, picture: Picture) -> None:
        self.live.update(drawn(picture, self.live.console.height))


@dataclass
class PlainView:
    """Writes one line for each change of a task's state or try."""

    console: Console
    seen: dict[str, tuple[str, int]] = field(default_factory=dict)

    def show(self, picture: Picture) -> None:
        for row in picture.rows:
            now = (row.state, row.try_number)
            if row.state not in PASSING and self.seen.get(row.title, ("none", 1)) != now:
                self.seen[row.title] = now
                self._write(f"[{picture.seconds():6.1f} s] {row.title}: {_sentence(row)}")

    def _write(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def follow(
    client: AirflowClient,
    dag_id: str,
    run_id: str,
    *,
    console: Console,
    progress: Progress | None = None,
    look: Callable[[], None] = lambda: None,
    limit_s: float = 4 * 3600.0,
) -> Outcome:
    """Show the run until it has ended, then its failures with the last lines of their logs.

    ``progress`` may tell how far a running task is; ``look`` is called now and then, and raises for what keeps every
    run from its end. Raises NotReady after ``limit_s``, AirflowUnreachable after 60 s without an answer; the run goes
    on in both cases, as it does on Control-C.
    """
    order = in_order(client.tasks(dag_id))
    expected_s = expected_seconds(client.recent_successes(dag_id))
    deadline = time.monotonic() + limit_s
    with open_view(console) as view:
        for run, instances, silent_s in _watch(client, dag_id, run_id, look):
            view.show(Picture(run, rows(order, instances, datetime.now(UTC), expected_s, progress), silent_s))
            if run.ended:
                break
            if time.monotonic() >= deadline:
                message = f"the run {run_id} of {dag_id} has not ended within {limit_s:.0f} s"
                raise NotReady(message, hint=f"it goes on: {run_url(client.url, dag_id, run_id)}")
    failed = [task for task_id in order for task in instances if task.task_id == task_id and task.state == "failed"]
    outcome = Outcome(run, tuple(failed))
    _report(client, outcome, console)
    return outcome


@contextmanager
def open_view(console: Console) -> Iterator[View]:
    """The live table on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield LiveView(live)


def drawn(picture: Picture, height: int) -> Group:
    """The picture as a table of at most ``height`` lines."""
    table = Table(box=None, pad_edge=False, title=f"{picture.run.dag_id}  {picture.run.run_id}", title_justify="left")
    table.add_column("task", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("seconds", justify="right")
    table.add_column("try", justify="right")
    table.add_column("", no_wrap=True)
    for row in fitting(picture.rows, max(3, height - FRAME_LINES)):
        seconds, tries = ("", "") if row.seconds is None else (f"{row.seconds:.1f}", str(row.try_number))
        table.add_row(row.title, Text(row.words, STYLES.get(row.state, "dim")), seconds, tries, _bar(row.bar))
    silent = f", no answer for {picture.silent_s:.0f} s" if picture.silent_s else ""
    return Group(table, Text(f"run {picture.run.state}, {picture.seconds():.0f} s{silent}", "dim"))


def run_url(base: str, dag_id: str, run_id: str, task: TaskInstance | None = None) -> str:
    """The page of a run in Airflow's UI, or of one of its tasks."""
    page = f"{base}/dags/{dag_id}/runs/{run_id}"
    if task is None:
        return page
    return f"{page}/tasks/{task.task_id}" + ("" if task.map_index == UNMAPPED else f"/mapped/{task.map_index}")


def _watch(
    client: AirflowClient, dag_id: str, run_id: str, look: Callable[[], None]
) -> Iterator[tuple[Run, list[TaskInstance], float]]:
    """What Airflow says, again and again; while it gives no answer, what it said last and for how long that is so."""
    run, instances = client.run(dag_id, run_id), client.task_instances(dag_id, run_id)
    answered = looked = time.monotonic()
    yield run, instances, 0.0
    while True:
        time.sleep(POLL_S)
        if time.monotonic() - looked >= LOOK_EVERY_S:
            look()
            looked = time.monotonic()
        try:
            run, instances = client.run(dag_id, run_id), client.task_instances(dag_id, run_id)
        except AirflowUnreachable:
            if time.monotonic() - answered > OUTAGE_S:
                raise
            yield run, instances, time.monotonic() - answered
        else:
            answered = time.monotonic()
            yield run, instances, 0.0


def _report(client: AirflowClient, outcome: Outcome, console: Console) -> None:
    run = outcome.run
    seconds = Picture(run, ()).seconds()
    lines = [f"run {run.run_id} of {run.dag_id}: {run.state} after {seconds:.0f} s"]
    for task in outcome.failed:
        lines += [f"\n{task.title} failed in try {task.try_number}; its log ends with:"]
        lines += [f"    {line}" for line in _log_tail(client, run, task)]
        lines += [f"  the whole log: {run_url(client.url, run.dag_id, run.run_id, task)}"]
    if not outcome.ok:
        lines += [f"the run: {run_url(client.url, run.dag_id, run.run_id)}"]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _log_tail(client: AirflowClient, run: Run, task: TaskInstance) -> list[str]:
    """The end of the log, or why there is none: a report without it is better than no report."""
    try:
        return client.log_tail(run.dag_id, run.run_id, task, LOG_LINES)
    except AirflowRefused as error:
        return str(error).splitlines()


def _sentence(row: Row) -> str:
    tried = f" (try {row.try_number})" if row.try_number > 1 else ""
    lasted = f" after {row.seconds:.1f} s" if row.seconds is not None and row.state in ("success", "failed") else ""
    return f"{row.words}{lasted}{tried}"


def _bar(bar: Bar | None) -> Table | str:
    if bar is None:
        return ""
    grid = Table.grid(padding=(0, 1))
    pulse = bar.fraction is None
    grid.add_row(ProgressBar(total=1.0, completed=bar.fraction or 0.0, width=BAR_CELLS, pulse=pulse), bar.text)
    return grid
