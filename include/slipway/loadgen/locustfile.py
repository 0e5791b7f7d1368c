"""The Locust file: one kind of user, and Locust's events tied to the share and the conductor.

Run as ``locust -f locustfile.py --headless --users N --spawn-rate R --load-plan plan.json``, on another host with
``--worker``. Loading this file imports Locust, which patches the standard library: never import it elsewhere.
"""

from __future__ import annotations

import argparse
import gc
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from gevent.event import AsyncResult, Event
from locust import User, events, task
from locust.runners import MasterRunner, WorkerRunner

from slipway.errors import SlipwayError
from slipway.loadgen.ask import PATHS, Asking
from slipway.loadgen.clock import CLOCK, Clock, Offset
from slipway.loadgen.conduct import DONE, HERE, WINDOW, Conductor, end_children
from slipway.loadgen.prompts import load_prompts
from slipway.loadgen.share import Heard, Share
from slipway.results import definitions
from slipway.results.cell import METRICS_FILES, WINDOW_FILE, Window
from slipway.results.parquet import REQUESTS_FILE
from slipway.results.plan import LoadPlan, load_load_plan
from slipway.results.rows import CUT, ROWS_FILES, Row
from slipway.results.series import SERVER_FILE


class StreamingUser(User):  # type: ignore[misc]
    """Asks again as soon as it was answered, or at the cell's rate; the share of its process does the work."""

    plan: LoadPlan
    """As this process's own command line named it: Locust replaces a worker's arguments by the master's."""

    share: AsyncResult
    """Of this process, once it stands: users may be started before."""

    @task  # type: ignore[untyped-decorator]
    def take_part(self) -> None:
        self.share.get().take_part()
        Event().wait()


def add_arguments(parser: Any, **_: Any) -> None:
    parser.add_argument("--load-plan", required=True, type=fresh, help="the cell's plan, a JSON file")
    port = _free_port()
    parser.set_defaults(master_bind_host="127.0.0.1", master_bind_port=port, master_port=port)


def fresh(path: str) -> str:
    """The path of a plan that can be carried out; files of an earlier try are removed from its folder.

    Locust reads its arguments once, before it forks.
    """
    try:
        plan = load_load_plan(Path(path))
        Asking(plan, load_prompts(plan.prompts_path)).next()
    except SlipwayError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    StreamingUser.plan = plan
    for pattern in (ROWS_FILES, REQUESTS_FILE, "clients-*.json", WINDOW_FILE, SERVER_FILE, *METRICS_FILES):
        for old in Path(plan.folder).glob(pattern):
            old.unlink()
    return path


def begin(environment: Any, runner: Any, **_: Any) -> None:
    """Runs in each process, after the fork."""
    plan = StreamingUser.plan
    StreamingUser.share = AsyncResult()
    if isinstance(runner, WorkerRunner):
        environment.process_exit_code = 0
        gevent.spawn(_end_with, os.getppid())
    if not isinstance(runner, MasterRunner):
        _take_share(plan, environment, runner)
    if not isinstance(runner, WorkerRunner):
        _conduct(plan, environment, runner)


def _take_share(plan: LoadPlan, environment: Any, runner: Any) -> None:
    def measure(window: Window) -> None:
        StreamingUser.share.get().measure(window)
        runner.send_message(DONE, {"host": plan.host})

    def take_window(msg: Any, **_: Any) -> None:
        gevent.spawn(measure, Window(**msg.data))

    def report(data: dict[str, Any], **_: Any) -> None:
        if StreamingUser.share.ready():
            data["slipway"] = StreamingUser.share.get().tally()

    runner.register_message(WINDOW, take_window)
    if isinstance(runner, WorkerRunner):
        runner.send_message(HERE, {"host": plan.host})
    clock = _clock(runner) if plan.host else Offset()
    share = Share(plan, index=runner.worker_index, heard=_telling_locust(plan, environment), clock=clock)
    gc.collect()
    gc.freeze()  # what the imports left is never looked at again, so that no collection of it stops the loop
    StreamingUser.share.set(share)
    environment.events.report_to_master.add_listener(report)


def _telling_locust(plan: LoadPlan, environment: Any) -> Heard:
    def tell(row: Row) -> None:
        if row.error == CUT:
            return
        environment.events.request.fire(
            request_type="POST",
            name=PATHS[plan.endpoint],
            response_time=max(0.0, definitions.e2e_s(row) * 1000),
            response_length=row.received_bytes,
            exception=row.error or None,
            context={},
        )

    return tell


def _clock(runner: Any) -> Offset:
    clock = Clock(lambda asked: runner.send_message(CLOCK, asked))
    runner.register_message(CLOCK, lambda msg, **_: clock.take(msg.data))
    return clock.offset()


def _conduct(plan: LoadPlan, environment: Any, runner: Any) -> None:
    def note_tally(client_id: str, data: dict[str, Any], **_: Any) -> None:
        conductor.note_tally(client_id, data.get("slipway", {}))

    def say_time(msg: Any, **_: Any) -> None:
        runner.send_message(CLOCK, {**msg.data, "at_ns": time.time_ns()}, client_id=msg.node_id)

    own = None if isinstance(runner, MasterRunner) else StreamingUser.share.get().tally
    conductor = Conductor(plan, environment, own)
    runner.register_message(DONE, lambda msg, **_: conductor.note_done(msg.data["host"]))
    runner.register_message(HERE, lambda msg, **_: conductor.note_here(msg.data["host"]))
    runner.register_message(CLOCK, say_time)
    environment.events.worker_report.add_listener(note_tally)
    environment.events.spawning_complete.add_listener(lambda **_: conductor.begin())
    environment.events.quit.add_listener(lambda **_: end_children())
    gevent.spawn(conductor.show_progress)
    if isinstance(runner, MasterRunner):
        environment.parsed_options.expect_workers = plan.processes
        gevent.spawn(conductor.name_the_late, environment.parsed_options.expect_workers_max_wait - 1)


def _end_with(parent: int) -> None:
    """A load process does not outlive the one that started it."""
    while os.getppid() == parent:
        gevent.sleep(1.0)
    print("the conducting process is gone", file=sys.stderr)  # noqa: T201
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


events.init_command_line_parser.add_listener(add_arguments)
events.init.add_listener(begin)
