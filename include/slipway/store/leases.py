"""Leases: a host belongs to one run at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from slipway.errors import LeaseHeld
from slipway.store.database import Database, existing, insert_into, record
from slipway.store.models import LeaseRow, RunRow
from slipway.store.records import Lease


class Leases(Database):
    """Who holds which host, what for, and until when."""

    def take_lease(self, run_id: int, hosts: Iterable[str], purpose: str, seconds: float) -> None:
        """Hold all of ``hosts`` (addresses) for ``seconds`` from now, or none of them.

        Taken again by the same run, the lease is prolonged. One that has expired is taken over. Raises
        :class:`~slipway.errors.LeaseHeld`, which names the holder, where another run holds a host.
        """
        with self._writing() as session:
            deployment = existing(session, RunRow, run_id).deployment
            for host in sorted(set(hosts)):
                lease = Lease(host, deployment, run_id, purpose, datetime.now(UTC) + timedelta(seconds=seconds))
                if not _take(session, lease):
                    raise _held(existing(session, LeaseRow, host))

    def release_lease(self, run_id: int) -> None:
        """Give back every host that the run holds."""
        with self._writing() as session:
            session.execute(delete(LeaseRow).where(LeaseRow.run_id == run_id))

    def leases(self) -> list[Lease]:
        """Every lease that has not expired, by host."""
        live = select(LeaseRow).where(LeaseRow.until > datetime.now(UTC)).order_by(LeaseRow.host)
        with self._reading() as session:
            return [record(Lease, row) for row in session.scalars(live)]


def _take(session: Session, lease: Lease) -> bool:
    """One statement, so that of two takers one wins."""
    values = {"deployment": lease.deployment, "run_id": lease.run_id, "purpose": lease.purpose, "until": lease.until}
    free = or_(LeaseRow.until <= datetime.now(UTC), LeaseRow.run_id == lease.run_id)
    insert = insert_into(session, LeaseRow).values(host=lease.host, **values)
    taken = insert.on_conflict_do_update(index_elements=["host"], set_=values, where=free).returning(LeaseRow.host)
    return session.scalar(taken) is not None


def _held(lease: LeaseRow) -> LeaseHeld:
    return LeaseHeld(
        f"host {lease.host} is held by run {lease.run_id} of {lease.deployment} for {lease.purpose}"
        f" until {lease.until:%Y-%m-%d %H:%M:%S} UTC",
        hint=f"wait for it, or end that run of {lease.deployment}",
    )
