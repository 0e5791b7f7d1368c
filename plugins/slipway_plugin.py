"""Registers Slipway's page where the package is on PYTHONPATH; where it is installed, its entry point does.

The file must not be called ``slipway.py``: Airflow would put it in the package's place.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution


def _announced() -> bool:
    try:
        entries = distribution("slipway").entry_points
    except PackageNotFoundError:
        return False
    return bool(entries.select(group="airflow.plugins"))


if not _announced():
    from slipway.ui.plugin import SlipwayPlugin  # noqa: F401 - Airflow finds it by name
