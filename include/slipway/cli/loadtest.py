"""The load test of a deployment file against an endpoint that runs, without Airflow and without the database."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from socket import create_server

from rich.console import Console

from slipway.cli.connections import use_airflow
from slipway.cli.results import measurements_table, show_notes
from slipway.embedded import load_settings
from slipway.errors import SpecError
from slipway.loadgen.plan import LoadPlan
from slipway.results import Measurement, Validity
from slipway.results.search import highest_kept
from slipway.spec import DeploymentSpec, Level, load_deployment
from slipway.spec.judging import StepSpec, TraceSpec
from slipway.spec.load import project_folder
from slipway.spec.overrides import SPAWN_SECONDS
from slipway.stages.benchmark import LoadHost, load_plan, master_port, measure_load
from slipway.stages.load_workers import LoadWorker

FIRST_USERS, MOST_USERS = 8, 10_000
FIRST_STEPS, MOST_STEPS = 10, 10_000
"""A search for a rate goes in tenths of the rate that was given, and begins at that rate."""


@dataclass(frozen=True)
class Test:
    """One call of the command: where its cells lie, and what they have in common."""

    spec: DeploymentSpec
    root: Path
    console: Console
    arguments: argparse.Namespace
    workers: Sequence[LoadWorker] = ()

    def cell(self, level: Level) -> Measurement:
        """Measure one load; its files stay in a folder of its own."""
        plan = self._plan(level)
        here, port = (str(self.root), sys.executable, Path(plan.folder)), master_port(self.spec)
        load = LoadHost(*here, api_key=_api_key(plan), workers=self.workers, master_port=port)
        web_port = _free_port() if self.arguments.web else None
        say = partial(self.console.print, markup=False, highlight=False, soft_wrap=True)
        say(f"{plan.folder}" + (f", Locust's page: http://127.0.0.1:{web_port}" if web_port else ""))
        measured = measure_load(load, plan, say, web_port=web_port)
        self.console.print(f"{measured.load}: {measured.output_tokens_per_s:.1f} output tokens/s, {measured.validity}")
        return measured

    def users(self, users: int) -> Level:
        """The file's level of so many users, or a new one."""
        return self._known(Level(users=users, spawn_rate=max(1.0, users / SPAWN_SECONDS)))

    def rate(self, rate: float) -> Level:
        return self._known(Level(rate=rate))

    def _known(self, wanted: Level) -> Level:
        return next((each for each in self.spec.benchmark.levels if each.load == wanted.load), wanted)

    def _plan(self, level: Level) -> LoadPlan:
        given = self.arguments
        folder = self.root / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{level.slug}"
        plan = load_plan(self.spec, level, folder)
        return replace(
            plan,
            arrivals=given.arrivals or plan.arrivals,
            seconds=plan.seconds if level.steps else float(given.seconds or plan.seconds),
            processes=given.processes or level.processes,
        )


def loadtest(arguments: argparse.Namespace) -> int:
    """Put load on an endpoint that runs and show what it gives; nothing is stored but the cells' own files.

    Without a load of its own, the load levels of the file are measured. --search looks for the highest load at which
    the file's `benchmark.slo` is kept.
    """
    spec, console = load_deployment(arguments.file), Console()
    root = load_settings(project_folder(arguments.file)).state / "loadtests"
    with _workers(spec, arguments.file) as workers:
        test = Test(spec, root, console, arguments, workers)
        cells = list(_search(test)) if arguments.search else list(_levels(test))
    console.print(measurements_table(f"Load test of {spec.name}", cells))
    show_notes(console, cells)
    if arguments.search:
        _show_goodput(console, spec, cells)
    return 1 if any(cell.validity is Validity.INVALID for cell in cells) and not arguments.search else 0


def _api_key(plan: LoadPlan) -> str:
    """The server's key, by the variable of the shell that the plan names. Raises SpecError where that is not set."""
    key = os.environ.get(plan.api_key_env, "") if plan.api_key_env else ""
    if plan.api_key_env and not key:
        hint = f"export {plan.api_key_env}, the password of serve.api_key_connection"
        raise SpecError("this server asks for an API key", hint=hint)
    return key


@contextmanager
def _workers(spec: DeploymentSpec, file: Path) -> Iterator[Sequence[LoadWorker]]:
    """The file's other machines that make load, by Airflow's connections, as ``slipway weights`` finds them."""
    if not spec.benchmark.workers:
        yield ()
        return
    use_airflow(file)
    from slipway.hooks.hosts import open_load_workers

    with open_load_workers(spec) as workers:
        yield workers


def _levels(test: Test) -> Iterator[Measurement]:
    given = test.arguments
    wanted = [test.users(users) for users in given.users or ()]
    if given.rate:
        wanted = [test.rate(given.rate)]
    elif given.steps:
        wanted = [Level(steps=tuple(given.steps))]
    elif given.trace:
        file = str(given.trace.resolve())
        wanted = [Level(trace=TraceSpec(file=file, unit=given.unit, speed=given.speed))]
    for level in wanted or test.spec.benchmark.levels:
        yield test.cell(level)


def step(text: str) -> StepSpec:
    """``5:30`` is a rate of 5 for 30 seconds, ``5-20:60`` a ramp. Raises ValueError."""
    rates, _, seconds = text.partition(":")
    first, _, last = rates.partition("-")
    return StepSpec(rate=float(first), to=float(last) if last else None, seconds=int(seconds))


def _search(test: Test) -> list[Measurement]:
    """Every cell that the search measured, by its load."""
    if test.spec.benchmark.slo is None:
        raise SpecError("--search needs limits", hint="give benchmark.slo in the deployment file")
    cells: list[Measurement] = []

    def kept(steps: int) -> bool:
        rate = test.arguments.rate
        cells.append(test.cell(test.rate(rate * steps / FIRST_STEPS) if rate else test.users(steps)))
        return _keeps(test.spec, cells[-1])

    if test.arguments.rate:
        highest_kept(kept, FIRST_STEPS, MOST_STEPS)
    else:
        highest_kept(kept, (test.arguments.users or [FIRST_USERS])[0], MOST_USERS)
    return sorted(cells, key=lambda cell: (cell.users, cell.rate))


def _keeps(spec: DeploymentSpec, cell: Measurement) -> bool:
    """A cell that may not be believed shows nothing, so it does not count as kept."""
    share = spec.benchmark.slo.share if spec.benchmark.slo else 1.0
    return cell.validity is not Validity.INVALID and cell.goodput is not None and cell.goodput.share >= share


def _show_goodput(console: Console, spec: DeploymentSpec, cells: list[Measurement]) -> None:
    kept = [cell for cell in cells if _keeps(spec, cell)]
    if not kept:
        console.print("No load that was tried keeps the limits.")
        return
    best = kept[-1]
    rate = best.goodput.requests_per_s if best.goodput else 0.0
    console.print(f"The highest load that keeps them: {best.load}, goodput {rate:.2f} req/s")


def _free_port() -> int:
    with closing(create_server(("127.0.0.1", 0))) as door:
        return int(door.getsockname()[1])
