"""The results database as a file, and back."""

from __future__ import annotations

import argparse
import sys

from slipway.cli.results import airflow_home
from slipway.store import backup


def db(arguments: argparse.Namespace) -> int:
    """Back up the results database to a file, or restore it from one.

    The file is the same for SQLite and PostgreSQL, so that results can move from one to the other. A restore brings the
    schema up to date; where the database has rows it does nothing without --force, which replaces them. Airflow's own
    database is not part of it.
    """
    airflow_home()
    from slipway.hooks.settings import store_url

    if arguments.verb == "backup":
        rows = backup.backup(store_url(), arguments.file)
    else:
        rows = backup.restore(store_url(), arguments.file, force=arguments.force)
    told = ", ".join(f"{count} {name.removeprefix('slipway_')}" for name, count in rows.items() if count)
    sys.stdout.write(f"{arguments.file}: {told or 'no rows'}\n")
    return 0
