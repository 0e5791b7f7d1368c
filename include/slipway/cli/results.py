"""What was measured, as tables for the terminal."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from slipway.cli.files import loaded
from slipway.cli.preflight import preflight_checks, show_preflight
from slipway.diagnosis import told as told_cause
from slipway.embedded import load_settings
from slipway.results import Distribution, Measurement, startup
from slipway.results.network import told
from slipway.results.redeploy import difference_told
from slipway.results.redeploy import told as told_redeploy
from slipway.results.repeats import spread
from slipway.stages.difference import from_running, placed
from slipway.store import Cell, Lease, Restart, Run, Start, State, Store

VALIDITY_STYLES = {"valid": "green", "suspect": "yellow", "invalid": "bold red"}

CELL_COLUMNS = (
    *("users", "req/s", "output\ntok/s", "TTFT\np50 ms", "TTFT\np99 ms", "TPOT\np50 ms", "E2E\np50 ms", "errors"),
)

NARROW: dict[str, Any] = {"box": SIMPLE_HEAD, "pad_edge": False, "padding": (0, 1, 0, 0)}
"""A table that fits a terminal of 80 columns."""


def results(arguments: argparse.Namespace) -> int:
    """Show the last runs, the newest preflight, and the benchmark of the newest run that has figures."""
    console = Console()
    with open_results() as store:
        runs = store.runs(arguments.deployment, arguments.runs)
        console.print(runs_table(runs))
        show_failure(console, runs)
        show_leases(console, store.leases())
        show_redeploy(console, next((run for run in runs if run.job == "deploy"), None))
        for name in dict.fromkeys(run.deployment for run in runs):
            show_starts(console, store.starts(name))
            show_restarts(console, name, store.restarts(name))
        looked = next(((run, checks) for run in runs if (checks := preflight_checks(store, run))), None)
        measured = next(((run, cells) for run in runs if (cells := store.cells(run.id))), None)
    if looked:
        show_preflight(console, *looked)
    if measured:
        show_benchmark(console, *measured)
    return 0


def diff(arguments: argparse.Namespace) -> int:
    """Show how a deployment file differs from what runs, and which stages would act for it. Nothing is run."""
    spec, lock, _ = loaded(arguments.file)
    with open_results() as store:
        lines = difference_told(from_running(store, placed(store, spec, lock), lock))
    Console().print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    return 0


def open_results() -> AbstractContextManager[Store]:
    """The store of Airflow's configuration; without AIRFLOW_HOME that of the embedded Airflow of this folder."""
    airflow_home()
    from slipway.hooks.settings import store_url
    from slipway.store import open_store

    return open_store(store_url())


def airflow_home() -> None:
    """Whose Airflow is asked: that of AIRFLOW_HOME, else the embedded one of this folder."""
    os.environ.setdefault("AIRFLOW_HOME", str(load_settings(Path.cwd()).home))


def show_failure(console: Console, runs: Sequence[Run]) -> None:
    """Why the newest run failed, where it did and that is known."""
    if not runs or runs[0].state != State.FAILED or "diagnosis" not in runs[0].snapshot:
        return
    cause = runs[0].snapshot["diagnosis"]
    said = f"Run {runs[0].id} failed at {cause['stage']}. {told_cause(cause)}\n  evidence: {cause['evidence']}"
    console.print(said, markup=False, highlight=False)


def show_leases(console: Console, leases: Sequence[Lease]) -> None:
    """Who holds which host, a line each."""
    for lease in leases:
        whose = f"run {lease.run_id} of {lease.deployment}, {lease.purpose}"
        said = f"{lease.host} is held by {whose}, until {lease.until:%H:%M:%S} UTC unless prolonged"
        console.print(said, markup=False, highlight=False)


def show_redeploy(console: Console, run: Run | None) -> None:
    """What the last deploy changed, how long nothing answered, and what was put back."""
    if run and (lines := told_redeploy(run.snapshot)):
        console.print("\n".join([f"Run {run.id} of {run.deployment}:", *lines]), markup=False, highlight=False)


def show_starts(console: Console, starts: Sequence[Start]) -> None:
    """The phases of a deployment's last start, and its times to ready, newest first."""
    if not starts:
        return
    last = starts[0]
    name = f"{last.deployment} (rehearsal)" if last.rehearsal else last.deployment
    seconds = f"{last.time_to_ready_s:.1f} s to ready: {startup.told(last.phases)}"
    console.print(f"Start of {name}, run {last.run_id}: {seconds}", markup=False, highlight=False)
    if last.cache and (cache := startup.CompileCache(**last.cache)) != startup.CompileCache():
        console.print(f"  {cache.told}", markup=False, highlight=False)
    if earlier := ", ".join(f"{start.time_to_ready_s:.1f}" for start in starts[1:]):
        console.print(f"  before that {earlier} s", markup=False, highlight=False)


def show_restarts(console: Console, deployment: str, restarts: Sequence[Restart]) -> None:
    """When and why the agent started a deployment's server again by itself, newest first, a line each."""
    for restart in restarts:
        when = f"{restart.at:%Y-%m-%d %H:%M:%S} UTC"
        said = f"{deployment} was started again on {restart.host} at {when}: {restart.cause} ({restart.reason})"
        console.print(said, markup=False, highlight=False)


def show_benchmark(console: Console, run: Run, cells: Sequence[Cell]) -> None:
    """The run's cells, a row a load level, and its verdict."""
    console.print(cells_table(run, cells))
    show_notes(console, [cell.measurement for cell in cells])
    if network := told(run.snapshot.get("network", {})):
        console.print(f"Network: {network}", highlight=False)
    if run.verdict:
        console.print(f"Verdict: [bold]{run.verdict}[/bold] ({run.verdict_reason})", highlight=False)


def show_notes(console: Console, cells: Sequence[Measurement]) -> None:
    """Why a cell is not valid, and what is known of it beside the table, a line each."""
    for measured in cells:
        for reason in measured.reasons:
            console.print(f"  {measured.load}, {measured.validity}: {reason}", highlight=False)
        for note in notes(measured):
            console.print(f"  {measured.load}: {note}", highlight=False)


def runs_table(runs: Sequence[Run]) -> Table:
    table = Table(title="Runs, newest first", **NARROW)
    for column in ("run", "deployment", "job", "began (UTC)", "state", "verdict", "revision"):
        table.add_column(column)
    for run in runs:
        name = f"{run.deployment} (rehearsal)" if run.rehearsal else run.deployment
        began = f"{run.started_at:%Y-%m-%d %H:%M}"
        table.add_row(str(run.id), name, run.job, began, run.state, run.verdict or "", run.revision_id or "")
    return table


def cells_table(run: Run, cells: Sequence[Cell]) -> Table:
    rehearsal = ", rehearsal on CPU: no figure for a GPU" if run.rehearsal else ""
    title = f"Benchmark of {run.deployment}, run {run.id}{rehearsal}"
    return measurements_table(title, [cell.measurement for cell in cells])


def measurements_table(title: str, cells: Sequence[Measurement]) -> Table:
    """A row a load level."""
    table = Table(title=title, **NARROW)
    for column in CELL_COLUMNS:
        table.add_column(column, justify="right", no_wrap=column != "users")
    table.add_column("validity", no_wrap=True)
    for measured in cells:
        style = VALIDITY_STYLES[measured.validity]
        table.add_row(
            measured.load.removesuffix(" users"),
            f"{measured.requests_per_s:.2f}",
            f"{measured.output_tokens_per_s:.1f}",
            _milliseconds(measured.ttft, "p50"),
            _milliseconds(measured.ttft, "p99"),
            _milliseconds(measured.tpot, "p50"),
            _milliseconds(measured.e2e, "p50"),
            str(sum(measured.errors.values())),
            f"[{style}]{measured.validity}[/{style}]",
        )
    return table


def notes(measured: Measurement) -> list[str]:
    """Goodput, GPUs and cost of a cell, a sentence each, where they are known."""
    found, gpu = [], measured.gpu
    if rates := measured.repeats.get("output_tokens_per_s"):
        apart = f"{min(rates):.1f} to {max(rates):.1f} output tokens/s ({spread(rates):.1%} apart)"
        found.append(f"the median of {len(rates)} repeats, {apart}")
    if not measured.users and (waited := measured.scheduled.get("ttft")):
        under_way = measured.client.get("under_way_mean", 0.0)
        found.append(f"TTFT p99 from the due time {1000 * waited.p99:.0f} ms, {under_way:.1f} requests under way")
    if good := measured.goodput:
        limits = ", ".join(f"{name.removesuffix('_s').upper()} {limit:g} s" for name, limit in good.limits.items())
        found.append(f"goodput {good.requests_per_s:.2f} req/s, {good.share:.1%} of the requests kept {limits}")
    if "energy_j_per_million_tokens" in gpu:
        energy = f"{gpu['energy_j_per_million_tokens'] / 1e6:.3g} MJ for a million output tokens"
        found.append(f"{gpu['gpus']:.0f} GPUs {gpu.get('use', 0.0):.0%} busy, {gpu['power_w']:.0f} W, {energy}")
    if "cost_per_million_tokens" in gpu:
        found.append(f"a million output tokens cost {gpu['cost_per_million_tokens']:.4g}")
    return found


def _milliseconds(distribution: Distribution | None, figure: str) -> str:
    return f"{1000 * getattr(distribution, figure):.0f}" if distribution else "none"
