"""The load test of a deployment file against an endpoint that runs, without Airflow and without the database."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from socket import create_server

from rich.console import Console

from slipway.cli.results import measurements_table, show_notes
from slipway.embedded import load_settings
from slipway.errors import SpecError
from slipway.loadgen.plan import LoadPlan
from slipway.results import Measurement, Validity
from slipway.results.search import highest_kept
from slipway.spec import DeploymentSpec, Level, load_deployment
from slipway.spec.load import project_folder
from slipway.spec.overrides import SPAWN_SECONDS
from slipway.stages.benchmark import LoadHost, load_plan, measure_load

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

    def cell(self, *, users: int = 0, rate: float = 0.0) -> Measurement:
        """Measure one load; its files stay in a folder of its own."""
        plan = self._plan(users, rate)
        load = LoadHost(root=str(self.root), python=sys.executable, folder=Path(plan.folder))
        port = _free_port() if self.arguments.web else None
        say = partial(self.console.print, markup=False, highlight=False, soft_wrap=True)
        say(f"{plan.folder}" + (f", Locust's page: http://127.0.0.1:{port}" if port else ""))
        measured = measure_load(load, plan, say, web_port=port)
        self.console.print(f"{measured.load}: {measured.output_tokens_per_s:.1f} output tokens/s, {measured.validity}")
        return measured

    def _plan(self, users: int, rate: float) -> LoadPlan:
        given, benchmark = self.arguments, self.spec.benchmark
        wanted = Level(users=users, rate=rate, spawn_rate=max(1.0, users / SPAWN_SECONDS))
        level = next((each for each in benchmark.levels if each.load == wanted.load), wanted)
        folder = self.root / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{f'users-{users}' if users else f'rate-{rate:g}'}"
        return replace(
            load_plan(self.spec, level, folder),
            arrivals=given.arrivals or benchmark.arrivals,
            seconds=float(given.seconds or benchmark.seconds),
            processes=given.processes or level.processes,
        )


def loadtest(arguments: argparse.Namespace) -> int:
    """Put load on an endpoint that runs and show what it gives; nothing is stored but the cells' own files.

    Without --users and --rate, the load levels of the file are measured. --search looks for the highest load at which
    the file's `benchmark.slo` is kept.
    """
    spec, console = load_deployment(arguments.file), Console()
    root = load_settings(project_folder(arguments.file)).state / "loadtests"
    test = Test(spec, root, console, arguments)
    cells = list(_search(test)) if arguments.search else list(_levels(test))
    console.print(measurements_table(f"Load test of {spec.name}", cells))
    show_notes(console, cells)
    if arguments.search:
        _show_goodput(console, spec, cells)
    return 1 if any(cell.validity is Validity.INVALID for cell in cells) and not arguments.search else 0


def _levels(test: Test) -> Iterator[Measurement]:
    if test.arguments.rate:
        yield test.cell(rate=test.arguments.rate)
        return
    given = [Level(users=users) for users in test.arguments.users or ()]
    for level in given or test.spec.benchmark.levels:
        yield test.cell(users=level.users, rate=level.rate)


def _search(test: Test) -> list[Measurement]:
    """Every cell that the search measured, by its load."""
    if test.spec.benchmark.slo is None:
        raise SpecError("--search needs limits", hint="give benchmark.slo in the deployment file")
    cells: list[Measurement] = []

    def kept(steps: int) -> bool:
        rate = test.arguments.rate
        cells.append(test.cell(rate=rate * steps / FIRST_STEPS) if rate else test.cell(users=steps))
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
