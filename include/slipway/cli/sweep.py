"""What a sweep found, as a table for the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rich.console import Console

from slipway.cli.results import open_results
from slipway.errors import SpecError
from slipway.results.sweep import counted, told
from slipway.store import Run, Store


def sweep(arguments: argparse.Namespace) -> int:
    """Show the table of a sweep, its best cell, and the front of throughput against latency."""
    with open_results() as store:
        run = store.find_run(arguments.run_id) if arguments.run_id else store.last_sweep(arguments.deployment)
        if run is None or run.deployment != arguments.deployment or not store.sweep_points(run.id):
            named = f"run {arguments.run_id} is no sweep" if arguments.run_id else "no sweep has run"
            raise SpecError(f"{arguments.deployment}: {named}", hint="slipway results lists the runs, with their jobs")
        lines = list(sweep_lines(store, run))
    Console().print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    return 0


def sweep_lines(store: Store, run: Run) -> Iterator[str]:
    """The sweep as it stands, also while it runs."""
    rows, spec = store.sweep_rows(run.id), store.spec(str(run.revision_id))
    rehearsal = ", rehearsal on CPU: no figure for a GPU" if run.rehearsal else ""
    yield f"Sweep of {run.deployment}, run {run.id} ({run.state}{rehearsal}): {counted(rows)}"
    if spec.sweep:
        yield from told(rows, spec.sweep)
    if outcome := run.snapshot.get("put_back"):
        yield outcome
