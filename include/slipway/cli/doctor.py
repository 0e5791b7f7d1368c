"""Whether this installation is whole."""

from __future__ import annotations

import argparse

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slipway.cli.preflight import STYLES
from slipway.cli.results import airflow_home
from slipway.results.preflight import State


def doctor(_: argparse.Namespace) -> int:
    """Check this installation, and say what to mend: packages, databases, keys, folders, connections, Airflow's parts.

    No host is asked; `<name>.preflight` does that. Answers 1 where something has to be mended.
    """
    airflow_home()
    from slipway.hooks.installation import examine

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("check", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("found", overflow="fold")
    faults = 0
    for name, finding in examine():
        faults += finding.state is State.FAIL
        words = f"{finding.found}; next: {finding.next_step}" if finding.next_step else finding.found
        table.add_row(name, Text(finding.state, STYLES[finding.state]), Text(words))
    console = Console()
    console.print(table)
    console.print(f"{faults} to be mended" if faults else "nothing to mend", highlight=False)
    return 1 if faults else 0
