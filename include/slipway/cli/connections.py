"""Airflow's connections, for the command line: those of the Airflow that the project's own ``slipway up`` keeps."""

from __future__ import annotations

import os
from pathlib import Path

from slipway.embedded import load_settings
from slipway.spec.load import project_folder


def use_airflow(file: Path) -> None:
    """Let Airflow's SDK find the connections of the project of this deployment file. The shell's own settings win."""
    os.environ.setdefault("AIRFLOW_HOME", str(load_settings(project_folder(file)).home))
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")  # else Airflow's SDK asks its own database for nothing
