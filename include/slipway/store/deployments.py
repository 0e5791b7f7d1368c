"""Deployments as they stand: what each of them runs, and its last runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CTE, ColumnElement, Row, ScalarSelect, Select, func, select
from sqlalchemy.orm import aliased

from slipway.store.database import Database, record
from slipway.store.models import CurrentRow, RunRow
from slipway.store.records import Current, Deployment, Run


class Deployments(Database):
    """All deployments at once, in a handful of short queries however many runs there are."""

    def deployments(self) -> list[Deployment]:
        """Every deployment that has had a run, by name."""
        with self._reading() as session:
            heads = session.execute(_heads()).all()
            of_heads = select(CurrentRow).where(CurrentRow.deployment.in_([head.name for head in heads]))
            currents = {row.deployment: record(Current, row) for row in session.scalars(of_heads)}
            wanted = {head.last for head in heads} | {head.judged for head in heads}
            wanted |= {current.run_id for current in currents.values()}
            rows = session.scalars(select(RunRow).where(RunRow.id.in_(wanted - {None})))
            runs = {row.id: record(Run, row) for row in rows}
        return [_deployment(head, currents.get(head.name), runs) for head in heads]


def _names() -> CTE:
    """The deployments that have had a run, and one null. Each is found from the one before: an index entry a name."""
    names = select(func.min(RunRow.deployment).label("name")).cte("names", recursive=True)
    later = select(func.min(RunRow.deployment)).where(RunRow.deployment > names.c.name).scalar_subquery()
    return names.union_all(select(later).select_from(names).where(names.c.name.is_not(None)))


def _heads() -> Select[Any]:
    """Name, id of the last run, id of the last run with a verdict."""
    names = _names()
    run = aliased(RunRow)

    def newest(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
        of_name = select(run.id).where(run.deployment == names.c.name, *conditions)
        return of_name.order_by(run.started_at.desc(), run.id.desc()).limit(1).scalar_subquery()

    judged = newest(run.verdict.is_not(None))
    heads = select(names.c.name, newest().label("last"), judged.label("judged"))
    return heads.where(names.c.name.is_not(None)).order_by(names.c.name)


def _deployment(head: Row[Any], current: Current | None, runs: dict[int, Run]) -> Deployment:
    last = runs[head.last]
    decisive = runs[current.run_id] if current else last
    return Deployment(head.name, decisive.rehearsal, current, last, runs.get(head.judged))
