"""History: the earlier cells and starts that a run is compared with."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, and_, func, not_, select
from sqlalchemy.orm import aliased

from slipway.results import Validity
from slipway.store.cells import cell_of
from slipway.store.database import Database, existing
from slipway.store.models import CellRow, RevisionRow, RunRow, StageRow
from slipway.store.records import Cell, State


class History(Database):
    """What was measured before a run, newest first. A load is a number of users or a rate of requests, and
    its shape where it changes."""

    def history(self, run_id: int, users: int, rate: float = 0.0, shape: str = "", *, limit: int = 10) -> list[Cell]:
        """What a cell of this run is judged by.

        Valid cells of earlier successful runs of the same deployment with the same load, workload, hosts and hardware,
        either all rehearsals or none.
        """
        with self._reading() as session:
            run = existing(session, RunRow, run_id)
            same = _earlier(run, users, rate, shape).where(_alike(run)).limit(limit)
            return [cell_of(row) for row in session.scalars(same)]

    def earlier_runs(self, run_id: int, limit: int = 10) -> list[int]:
        """The last successful runs before this one that measured and may be compared with it, newest first."""
        with self._reading() as session:
            run = existing(session, RunRow, run_id)
            earlier = (RunRow.started_at < run.started_at, RunRow.state == State.SUCCESS, RunRow.id != run_id)
            measured = select(CellRow.id).where(CellRow.run_id == RunRow.id).exists()
            same = (
                select(RunRow.id).join(RevisionRow, RevisionRow.id == RunRow.revision_id).where(*earlier, _alike(run))
            )
            return list(session.scalars(same.where(measured).order_by(RunRow.started_at.desc()).limit(limit)))

    def other_kinds(
        self, run_id: int, users: int, rate: float = 0.0, shape: str = "", *, limit: int = 10
    ) -> list[Cell]:
        """What ``history`` leaves out, though it is valid and of the same load: of another workload, or elsewhere."""
        with self._reading() as session:
            run = existing(session, RunRow, run_id)
            other = _earlier(run, users, rate, shape).where(not_(_alike(run))).limit(limit)
            return [cell_of(row) for row in session.scalars(other)]

    def start_s(self, run_id: int) -> float | None:
        """How long the server took to be ready, where this run started it."""
        with self._reading() as session:
            return session.scalar(_starts().where(RunRow.id == run_id).limit(1))

    def starts_s(self, run_id: int, limit: int = 10) -> list[float]:
        """The same of earlier successful runs that may be compared with this one, newest first."""
        with self._reading() as session:
            run = existing(session, RunRow, run_id)
            earlier = (RunRow.started_at < run.started_at, RunRow.state == State.SUCCESS, RunRow.id != run_id)
            same = _starts().join(RevisionRow, RevisionRow.id == RunRow.revision_id).where(*earlier, _alike(run))
            same = same.where(RunRow.point.is_(None))
            return list(session.scalars(same.order_by(RunRow.started_at.desc()).limit(limit)))


def _earlier(run: RunRow, users: int, rate: float, shape: str) -> Select[CellRow]:
    """Valid cells of one load, of successful runs before this one, newest first. What a sweep tries is no history."""
    return (
        select(CellRow)
        .join(RunRow, RunRow.id == CellRow.run_id)
        .join(RevisionRow, RevisionRow.id == CellRow.revision_id)
        .where(CellRow.deployment == run.deployment, CellRow.users == users, CellRow.rate == rate)
        .where(CellRow.shape == shape)
        .where(CellRow.started_at < run.started_at, CellRow.validity == Validity.VALID)
        .where(RunRow.state == State.SUCCESS, RunRow.id != run.id, RunRow.point.is_(None))
        .order_by(CellRow.started_at.desc())
    )


def _alike(run: RunRow) -> ColumnElement[bool]:
    """Whether a run may be compared with this one: same deployment, workload, hosts, hardware, all of it rehearsed."""
    workload = select(RevisionRow.workload).where(RevisionRow.id == run.revision_id).scalar_subquery()
    return and_(
        RunRow.deployment == run.deployment,
        RunRow.rehearsal == run.rehearsal,
        RevisionRow.workload == workload,
        func.coalesce(RunRow.snapshot["hardware"].as_string(), "") == (run.snapshot.get("hardware") or ""),
    )


def _starts() -> Select[float]:
    """Times to ready, of runs whose stage *serve* acted: one that found its server ready has measured nothing."""
    serve, ready = aliased(StageRow), aliased(StageRow)
    seconds = ready.detail["time_to_ready_s"].as_float()
    return (
        select(seconds)
        .join(RunRow, RunRow.id == ready.run_id)
        .join(serve, serve.run_id == RunRow.id)
        .where(serve.name == "serve", serve.state == State.SUCCESS, serve.actions > 0)
        .where(ready.name == "ready", ready.state == State.SUCCESS, seconds.is_not(None))
    )
