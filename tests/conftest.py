"""Airflow reads its home at its first import, so it is set before any test module is imported.

Generated cases have no deadline: on a busy machine one that takes long is no fault.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

AIRFLOW_HOME = tempfile.mkdtemp(prefix="slipway-tests-airflow-")
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)

os.environ |= {"AIRFLOW_HOME": AIRFLOW_HOME, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def serving_python() -> str:
    """The demo's serving environment, made by the stage that makes it for everybody, where it is not there yet."""
    from slipway.commands import python_env
    from slipway.hooks.hosts import open_site
    from slipway.spec import load_deployment
    from slipway.spec.environments import load_lock
    from slipway.stages import environment

    demo = load_deployment(ROOT / "include" / "deployments" / "demo.yaml")
    lock = load_lock(ROOT / "include" / "environments", demo)
    with open_site(demo, lock, print) as site:
        environment.converge(site)
    return python_env.python(demo, lock)
