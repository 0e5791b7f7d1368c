"""Airflow reads its home at its first import, so it is set before any test module is imported."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

AIRFLOW_HOME = tempfile.mkdtemp(prefix="slipway-tests-airflow-")
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)

os.environ |= {"AIRFLOW_HOME": AIRFLOW_HOME, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
