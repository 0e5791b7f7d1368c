"""A DAG of the embedded Airflow, ready for a run: known as its files are now, and not paused."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeGuard

from slipway.embedded.answers import Dag, ImportFault
from slipway.embedded.rest import AirflowClient
from slipway.embedded.settings import PACKAGE, Settings
from slipway.errors import AirflowRefused, NotReady

LIMIT_S = 60.0
SETTLED_S = 10.0
"""Only after this long does a file that cannot be imported count as the reason why a DAG is not there."""
POLL_S = 0.3
NOT_FOUND = 404


def ready_dag(client: AirflowClient, dag_id: str, changed_at: datetime, limit_s: float = LIMIT_S) -> Dag:
    """Wait until Airflow knows the DAG as its files are since ``changed_at``, and takes runs of it.

    A DAG that is known in an older form is parsed again at once, and a paused one is unpaused: a run of it would wait
    for ever. Raises NotReady with the files that cannot be imported.
    """
    began = time.monotonic()
    asked = False
    while not _current(dag := _known(client, dag_id), changed_at):
        if dag and not asked:
            client.reparse(dag)
            asked = True
        faults = [fault for fault in client.import_faults() if fault.seen_at >= changed_at]
        waited_s = time.monotonic() - began
        if waited_s > limit_s or (faults and waited_s > SETTLED_S):
            raise _missing(dag_id, faults, waited_s)
        time.sleep(POLL_S)
    if dag.paused:
        client.unpause(dag_id)
    return dag


def sources_changed_at(settings: Settings) -> datetime:
    """When what DAGs are made of was last changed: their files, the deployment files, this package.

    A time that is still to come counts as now.
    """
    deployments = settings.project / "include" / "deployments"
    files = [*settings.dags.rglob("*.py"), *deployments.glob("*.yaml"), *PACKAGE.rglob("*.py")]
    latest = max((path.stat().st_mtime for path in files), default=0.0)
    return datetime.fromtimestamp(min(latest, time.time()), UTC)


def _known(client: AirflowClient, dag_id: str) -> Dag | None:
    try:
        return client.dag(dag_id)
    except AirflowRefused as error:
        if error.status != NOT_FOUND:
            raise
        return None


def _current(dag: Dag | None, changed_at: datetime) -> TypeGuard[Dag]:
    return dag is not None and not dag.stale and dag.parsed_at is not None and dag.parsed_at >= changed_at


def _missing(dag_id: str, faults: Sequence[ImportFault], waited_s: float) -> NotReady:
    lines = [f"  {fault.filename}: {fault.trace.strip().splitlines()[-1]}" for fault in faults]
    reason = "\n".join(["these files cannot be imported:", *lines]) if lines else "no file in the DAG folder makes it"
    message = f"after {waited_s:.0f} s Airflow has no DAG {dag_id} as its files are now: {reason}"
    return NotReady(message, hint="correct the file and try again")
