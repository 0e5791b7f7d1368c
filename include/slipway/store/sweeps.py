"""Sweeps: their points, and the cells that were measured of them, whenever that was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, select, update

from slipway.results import Measurement
from slipway.results.sweep import Row, chosen
from slipway.store.cells import cell_of
from slipway.store.database import Database, existing, record
from slipway.store.models import CellRow, PointRow, RunRow
from slipway.store.records import Run, State, SweepPoint

SWEEP = "sweep"
"""The job of a sweep as a whole; the deploy and benchmark of one of its points is of the job ``point``."""


class Sweeps(Database):
    """What a sweep tries, and what came of it."""

    def begin_sweep(self, sweep_id: int, points: Sequence[SweepPoint]) -> None:
        """Keep the points of a sweep, none of them tried. Those of an earlier beginning of the same run give way."""
        with self._writing() as session:
            session.execute(delete(PointRow).where(PointRow.sweep_id == sweep_id))
            session.add_all(PointRow(**asdict(point)) for point in points)

    def note_point(self, sweep_id: int, number: int, state: State, cause: str = "", run_id: int | None = None) -> None:
        """How far a point is; ``run_id`` is the run that deploys it, where one does."""
        this = (PointRow.sweep_id == sweep_id, PointRow.number == number)
        with self._writing() as session:
            session.execute(update(PointRow).where(*this).values(state=state, cause=cause, run_id=run_id))

    def sweep_points(self, sweep_id: int) -> list[SweepPoint]:
        """The points of a sweep, in their order."""
        of_sweep = select(PointRow).where(PointRow.sweep_id == sweep_id).order_by(PointRow.number)
        with self._reading() as session:
            return [record(SweepPoint, row) for row in session.scalars(of_sweep)]

    def counting_cells(self, sweep_id: int, digest: str, run_id: int | None) -> dict[str, Measurement]:
        """By load the cell that counts for a point of this sweep, of whichever sweep it is.

        Where the sweep's conf says ``again``, only cells of ``run_id`` count, the point's own run in this sweep.
        """
        with self._reading() as session:
            sweep = existing(session, RunRow, sweep_id)
            this = (RunRow.deployment == sweep.deployment, RunRow.point == digest)
            found = select(CellRow).join(RunRow, RunRow.id == CellRow.run_id).where(*this)
            if sweep.conf.get("again"):
                found = found.where(RunRow.id == run_id)
            newest = session.scalars(found.order_by(CellRow.started_at.desc(), CellRow.id.desc()))
            return chosen([cell_of(row).measurement for row in newest])

    def sweep_rows(self, sweep_id: int) -> list[Row]:
        """A row for each load of each point of a sweep, and one for a point that has none."""
        return [row for point in self.sweep_points(sweep_id) for row in self._rows(point)]

    def _rows(self, point: SweepPoint) -> list[Row]:
        found = self.counting_cells(point.sweep_id, point.digest, point.run_id) if point.digest else {}
        loads = [_load(each) for each in point.loads] or ["-"]
        return [Row(point.number, point.words, load, point.state, point.cause, found.get(load)) for load in loads]

    def last_sweep(self, deployment: str) -> Run | None:
        """The newest sweep of a deployment, None where there was none."""
        of_deployment = select(RunRow).where(RunRow.deployment == deployment, RunRow.job == SWEEP)
        with self._reading() as session:
            row = session.scalar(of_deployment.order_by(RunRow.started_at.desc(), RunRow.id.desc()).limit(1))
            return record(Run, row) if row else None


def _load(asked: Sequence[Any]) -> str:
    """A load in words, as a measurement has it; points of an earlier version have no shape."""
    users, rate, shape = (*asked, "")[:3]
    return shape or (f"{users:g} users" if users else f"{rate:g} req/s")
