"""Leases: a host belongs to one run at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.orm import Session

from slipway.errors import LeaseHeld
from slipway.store.database import Database, existing, insert_into, record
from slipway.store.models import LeaseRow, RunRow
from slipway.store.records import Lease, State


class Leases(Database):
    """Who holds which host, what for, and until when."""

    def take_lease(self, run_id: int, hosts: Iterable[str], purpose: str, seconds: float) -> None:
        """Hold all of ``hosts`` (addresses) for ``seconds`` from now, or none of them.

        Taken again by the same run, the lease is prolonged. One that has expired, or whose run has ended, is taken
        over. Raises :class:`~slipway.errors.LeaseHeld`, which names the holder, where another run holds a host.
        """
        with self._writing() as session:
            deployment = existing(session, RunRow, run_id).deployment
            for host in sorted(set(hosts)):
                lease = Lease(host, deployment, run_id, purpose, datetime.now(UTC) + timedelta(seconds=seconds))
                if not _take(session, lease):
                    raise _held(existing(session, LeaseRow, host))

    def prolong_lease(self, run_id: int, seconds: float) -> None:
        """Hold what the run still holds for ``seconds`` from now; what was taken from it stays taken."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        with self._writing() as session:
            session.execute(update(LeaseRow).where(LeaseRow.run_id == run_id).values(until=until))

    def release_lease(self, run_id: int) -> None:
        """Give back every host that the run holds."""
        with self._writing() as session:
            give_back(session, run_id)

    def leases(self) -> list[Lease]:
        """Every lease that keeps others away now, by host."""
        live = select(LeaseRow).where(LeaseRow.until > datetime.now(UTC), LeaseRow.run_id.in_(_running()))
        with self._reading() as session:
            return [record(Lease, row) for row in session.scalars(live.order_by(LeaseRow.host))]


def give_back(session: Session, run_id: int) -> None:
    """End every lease of a run, within the transaction of whoever ends the run."""
    session.execute(delete(LeaseRow).where(LeaseRow.run_id == run_id))


def _running() -> Select[int]:
    return select(RunRow.id).where(RunRow.state == State.RUNNING)


def _take(session: Session, lease: Lease) -> bool:
    """One statement, so that of two takers one wins."""
    values = {"deployment": lease.deployment, "run_id": lease.run_id, "purpose": lease.purpose, "until": lease.until}
    ended = LeaseRow.run_id.not_in(_running())
    free = or_(LeaseRow.until <= datetime.now(UTC), LeaseRow.run_id == lease.run_id, ended)
    insert = insert_into(session, LeaseRow).values(host=lease.host, **values)
    taken = insert.on_conflict_do_update(index_elements=["host"], set_=values, where=free).returning(LeaseRow.host)
    return session.scalar(taken) is not None


def _held(lease: LeaseRow) -> LeaseHeld:
    return LeaseHeld(
        f"host {lease.host} is held by run {lease.run_id} of {lease.deployment} for {lease.purpose}"
        f" until {lease.until:%Y-%m-%d %H:%M:%S} UTC",
        hint=f"wait for it, or mark that run of {lease.deployment} as failed in Airflow: then its lease runs out",
    )
