"""Deployments as they stand: what each of them runs, and its last runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, ScalarSelect, Select, select
from sqlalchemy.orm import aliased

from slipway.store.database import Database, record
from slipway.store.models import CurrentRow, RevisionRow, RunRow
from slipway.store.records import Current, Deployment, Run


class Deployments(Database):
    """All deployments at once, in a handful of short queries however many runs there are."""

    def deployments(self) -> list[Deployment]:
        """Every deployment that has had a run, by name."""
        with self._reading() as session:
            heads = session.execute(_heads()).all()
            currents = {row.deployment: record(Current, row) for row in session.scalars(select(CurrentRow))}
            wanted = {head.last for head in heads} | {head.judged for head in heads}
            wanted |= {current.run_id for current in currents.values()}
            rows = session.scalars(select(RunRow).where(RunRow.id.in_(wanted - {None})))
            runs = {row.id: record(Run, row) for row in rows}
        return [_deployment(head, currents.get(head.name), runs) for head in heads if head.last]


def _heads() -> Select[Any]:
    """Name, id of the last run, id of the last run with a verdict. The names are read from the revisions: few rows."""
    names = select(RevisionRow.deployment.label("name")).distinct().subquery()
    run = aliased(RunRow)

    def newest(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
        of_name = select(run.id).where(run.deployment == names.c.name, *conditions)
        return of_name.order_by(run.started_at.desc(), run.id.desc()).limit(1).scalar_subquery()

    judged = newest(run.verdict.is_not(None))
    return select(names.c.name, newest().label("last"), judged.label("judged")).order_by(names.c.name)


def _deployment(head: Row[Any], current: Current | None, runs: dict[int, Run]) -> Deployment:
    last = runs[head.last]
    decisive = runs[current.run_id] if current else last
    return Deployment(head.name, decisive.rehearsal, current, last, runs.get(head.judged))
