"""``slipway``: check and plan a deployment file, run it through Airflow, look at results."""

from slipway.cli.main import main

__all__ = ["main"]
