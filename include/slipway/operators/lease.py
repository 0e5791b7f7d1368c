"""The hosts of a run, held in the database while it works on them: one run at a time."""

from __future__ import annotations

import contextlib
import platform
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from slipway.errors import StoreError

if TYPE_CHECKING:
    from slipway.spec import DeploymentSpec
    from slipway.store import Current, Store

LEASE_S = 300.0
"""How long a lease outlives whoever held it: the time for the next task to begin, or for a killed run to let go."""

PROLONG_EVERY_S = 60.0


def leased_hosts(spec: DeploymentSpec) -> list[str]:
    """The hosts by address. An address of a machine that is reached without SSH may be its own alone, as 127.0.0.2
    is: its name stands before it."""
    from slipway.hooks.hosts import LOCAL

    here = platform.node()
    return [f"{here}/{host.address}" if host.connection == LOCAL else host.address for host in spec.machines]


def leased_workers(spec: DeploymentSpec) -> list[str]:
    """The machines of ``benchmark.workers``, by address, apart from this one."""
    from slipway.hooks.hosts import LOCAL

    return [worker.address for worker in spec.benchmark.workers if worker.connection != LOCAL]


def undisturbed(store: Store, deployment: str, what: str) -> Current:
    """What runs, while no run works on its hosts. Raises AirflowSkipException, which names the reason, else.

    ``what`` is what nothing is there for: ``to measure``.
    """
    current = store.current(deployment)
    if current is None:
        raise AirflowSkipException(f"{deployment}: nothing is deployed, so there is nothing {what}")
    hosts = leased_hosts(store.spec(current.revision_id))
    if lease := next((lease for lease in store.leases() if lease.host in hosts), None):
        holder = f"run {lease.run_id} of {lease.deployment} for {lease.purpose}"
        raise AirflowSkipException(f"{deployment}: host {lease.host} is held by {holder}")
    return current


@contextlib.contextmanager
def held(store: Store, run_id: int, spec: DeploymentSpec, purpose: str) -> Iterator[None]:
    """Hold the run's hosts as long as this lasts, and ``LEASE_S`` longer. Raises LeaseHeld."""
    store.take_lease(run_id, leased_hosts(spec), purpose, LEASE_S)
    done = threading.Event()
    beat = threading.Thread(target=_prolong, args=(store, run_id, done), name="slipway lease", daemon=True)
    beat.start()
    try:
        yield
    finally:
        done.set()
        beat.join()


def _prolong(store: Store, run_id: int, done: threading.Event) -> None:
    """A database that does not answer is asked again: four times before the lease has run out."""
    while not done.wait(PROLONG_EVERY_S):
        with contextlib.suppress(StoreError):
            store.prolong_lease(run_id, LEASE_S)
