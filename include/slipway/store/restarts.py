"""Servers that the agents on the hosts started again. The runs that see them write them down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import select

from slipway.store.database import Database, existing, insert_into, record
from slipway.store.models import RestartRow, RunRow
from slipway.store.records import Restart


class Restarts(Database):
    """When, where and why a server was started again unasked."""

    def record_restarts(self, run_id: int, restarts: Iterable[Restart]) -> None:
        """Keep what a run has seen. What is known stays with the run that saw it first."""
        with self._writing() as session:
            deployment = existing(session, RunRow, run_id).deployment
            for each in restarts:
                insert = insert_into(session, RestartRow).values(run_id=run_id, deployment=deployment, **asdict(each))
                session.execute(insert.on_conflict_do_nothing())

    def restarts(self, deployment: str, limit: int = 10) -> list[Restart]:
        """The last restarts of a deployment's servers, newest first."""
        newest = select(RestartRow).where(RestartRow.deployment == deployment)
        with self._reading() as session:
            rows = session.scalars(newest.order_by(RestartRow.at.desc(), RestartRow.id.desc()).limit(limit))
            return [record(Restart, row) for row in rows]

    def restarts_of_run(self, run_id: int) -> list[Restart]:
        """Those that a run saw first, oldest first."""
        seen = select(RestartRow).where(RestartRow.run_id == run_id)
        with self._reading() as session:
            return [record(Restart, row) for row in session.scalars(seen.order_by(RestartRow.at, RestartRow.id))]
