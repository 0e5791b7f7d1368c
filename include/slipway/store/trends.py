"""A deployment over time. Every query is bounded, and finds its rows by an index."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Row, Select, bindparam, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from slipway.results import Validity
from slipway.store.cells import LOAD
from slipway.store.database import Database
from slipway.store.models import CellRow, PromotedRow, RevisionRow, RunRow, StageRow
from slipway.store.records import Peak, Point, Revision, State, Step

SERVING = ("vllm", "ray", "torch", "cuda", "nccl", "driver")
"""Programs whose versions are told with a run; ``driver`` is the GPUs'."""

PLAIN = tuple(field.name for field in fields(Step) if field.name not in ("versions", "ready"))
"""Fields of a step that are columns of its run."""

CELL, RUN = CellRow.__table__.c, RunRow.__table__.c
"""Columns of the bare tables: rows that come by the thousand need no mapper."""


class Trends(Database):
    """What is drawn: figures over runs, and revisions beside each other."""

    def steps(self, deployment: str, limit: int = 100) -> list[Step]:
        """The last runs of a deployment, oldest first, without what they left behind."""
        columns = [getattr(RunRow, name) for name in PLAIN]
        with self._reading() as session:
            rows = session.execute(_newest(deployment, limit, *columns, RunRow.snapshot["versions"])).all()
            ready = _ready(session, [row.id for row in rows])
        return [_step(row, ready.get(row.id)) for row in reversed(rows)]

    def baseline(self, deployment: str, revision_id: str) -> str | None:
        """The revision that a revision is held against: the last good one, or where it is that itself, the one that the
        last good deploy of another revision brought. None where there is none."""
        good = (RunRow.job == "deploy", RunRow.state == State.SUCCESS, RunRow.revision_id != revision_id)
        with self._reading() as session:
            promoted = session.get(PromotedRow, deployment)
            if promoted and promoted.revision_id != revision_id:
                return promoted.revision_id
            found: str | None = session.scalar(_newest(deployment, 1, RunRow.revision_id).where(*good))
            return found

    def points(self, run_ids: Iterable[int]) -> list[Point]:
        """The cells of these runs, by run and load; those of a revision that a run had before are left out."""
        of_runs = _points().where(CELL.run_id.in_(list(run_ids)), CELL.revision_id == RUN.revision_id)
        with self._reading() as session:
            return _fetched(session, of_runs.order_by(CELL.run_id, *(CELL[column.key] for column in LOAD)))

    def points_of_revision(self, deployment: str, revision_id: str, limit: int = 200) -> list[Point]:
        """The newest cells of a revision, newest first."""
        of_revision = _points().where(CELL.deployment == deployment, CELL.revision_id == revision_id)
        newest = of_revision.order_by(CELL.started_at.desc()).limit(limit)
        with self._reading() as session:
            return _fetched(session, newest)

    def peaks(self, deployments: Iterable[str], limit: int = 30) -> dict[str, list[Peak]]:
        """By deployment: the throughput of those of its last ``limit`` runs that measured something, oldest first."""
        peaks = _peaks(limit)
        with self._reading() as session:
            return {name: [Peak(*row) for row in session.execute(peaks, {"name": name})] for name in deployments}

    def revisions(self, deployment: str, limit: int = 50) -> list[Revision]:
        """The newest revisions of a deployment, newest first."""
        of_deployment = select(RevisionRow).where(RevisionRow.deployment == deployment)
        newest = of_deployment.order_by(RevisionRow.created_at.desc(), RevisionRow.id).limit(limit)
        with self._reading() as session:
            return [_revision(row) for row in session.scalars(newest)]

    def revisions_by_id(self, ids: Sequence[str]) -> dict[str, Revision]:
        """Those of these revisions that there are."""
        with self._reading() as session:
            rows = session.scalars(select(RevisionRow).where(RevisionRow.id.in_(ids)))
            return {row.id: _revision(row) for row in rows}


def _step(row: Row[Any], ready: Mapping[str, Any] | None) -> Step:
    plain, versions = row[:-1], row[-1]
    known = {name: versions[name] for name in SERVING if versions and versions.get(name)}
    return Step(**dict(zip(PLAIN, plain, strict=True)), versions=known, ready=ready)


def _newest(
    deployment: str | BindParameter[str], limit: int, *columns: ColumnElement[Any] | InstrumentedAttribute[Any]
) -> Select[Any]:
    of_deployment = select(*columns).where(RunRow.deployment == deployment)
    return of_deployment.order_by(RunRow.started_at.desc(), RunRow.id.desc()).limit(limit)


def _points() -> Select[Any]:
    """The fields of a point, in their order: ``rehearsal`` is its run's, the rest are the cell's columns."""
    columns = [RUN.rehearsal if name == "rehearsal" else CELL[name] for name in Point._fields]
    return select(*columns).join_from(CellRow.__table__, RunRow.__table__, RUN.id == CELL.run_id)


def _fetched(session: Session, points: Select[Any]) -> list[Point]:
    return [Point._make(row) for row in session.execute(points)]


def _peaks(limit: int) -> Select[Any]:
    """The fields of a peak, in their order; of the deployment that is the parameter ``name``."""
    run = _newest(bindparam("name"), limit, RunRow.id, RunRow.rehearsal, RunRow.started_at).subquery()
    return (
        select(run.c.id, run.c.started_at, run.c.rehearsal, func.max(CellRow.output_tokens_per_s))
        .join(CellRow, CellRow.run_id == run.c.id)
        .where(CellRow.validity != Validity.INVALID)
        .group_by(run.c.id, run.c.started_at, run.c.rehearsal)
        .order_by(run.c.started_at, run.c.id)
    )


def _ready(session: Session, run_ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    """By run: what its last good try of ``ready`` found."""
    good = select(StageRow.run_id, StageRow.detail).where(StageRow.run_id.in_(run_ids))
    rows = session.execute(good.where(StageRow.name == "ready", StageRow.state == State.SUCCESS).order_by(StageRow.id))
    return {row.run_id: row.detail for row in rows}


def _revision(row: RevisionRow) -> Revision:
    values = {field.name: getattr(row, field.name) for field in fields(Revision)}
    return Revision(**{**values, "spec": json.loads(row.spec)})
