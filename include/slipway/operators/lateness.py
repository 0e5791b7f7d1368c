"""A run that is late, told to people: Airflow's triggerer calls this when the run's deadline has passed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


async def tell_late(after_s: int, context: Mapping[str, Any]) -> None:
    """Send the message, where ``[slipway] notify_conn`` names a connection; else it stands in the log alone."""
    from slipway.hooks.notify import notify_soon
    from slipway.hooks.settings import notify_conn, run_url

    dag_run = context["dag_run"]
    dag_id, run_id = dag_run["dag_id"], dag_run["dag_run_id"]
    title = f"{dag_id} is late"
    body = f"run {run_id} has not ended {after_s} s after it was queued; it goes on\n{run_url(dag_id, run_id)}"
    log.warning("%s: %s", title, body)
    if conn_id := notify_conn():
        await notify_soon(conn_id, title, body)
