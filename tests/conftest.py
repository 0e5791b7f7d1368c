"""Airflow reads its home at its first import, so it is set before any test module is imported.

Generated cases have no deadline: on a busy machine one that takes long is no fault.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from hypothesis import settings

AIRFLOW_HOME = tempfile.mkdtemp(prefix="slipway-tests-airflow-")
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)

os.environ |= {"AIRFLOW_HOME": AIRFLOW_HOME, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")
