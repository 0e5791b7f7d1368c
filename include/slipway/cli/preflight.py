"""The preflight table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slipway.results.preflight import Check, checks_of, verdict
from slipway.results.preflight import State as Fitness
from slipway.store import Run, State, Store

STYLES = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}


def preflight_checks(store: Store, run: Run) -> list[Check]:
    """The rows of the run's last preflight."""
    tables = [checks_of(stage.detail) for stage in store.stages(run.id) if stage.name == "preflight"]
    return next((table for table in reversed(tables) if table), [])


def show_preflight(console: Console, run: Run, checks: Sequence[Check]) -> None:
    """The verdict; below it every row where the run was about that or has failed, else those to be looked at."""
    console.print(f"Preflight of {run.deployment}, run {run.id}: {verdict(checks)}", markup=False, highlight=False)
    whole = run.job == "preflight" or run.state == State.FAILED
    rows = [check for check in checks if whole or check.state is not Fitness.OK]
    if rows:
        console.print(preflight_table(rows))


def preflight_table(checks: Sequence[Check]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("host", "check", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("found", overflow="fold")
    for check in checks:
        table.add_row(check.host, check.name, Text(check.state, STYLES[check.state]), Text(check.words))
    return table
