"""Runs and their stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from slipway.store.database import Database, existing, insert_into, record
from slipway.store.leases import give_back
from slipway.store.models import RunRow, SmokeRow, StageRow
from slipway.store.records import Run, RunStart, SmokeCheck, Stage, Start, State

LOST = "ended from outside: the task was killed, or its machine was lost"
START = "start"
"""The key of a run's snapshot that holds the start which it waited for."""

LONGEST_ERROR = 20_000
"""Characters of a stage's error; its end is kept."""


class Runs(Database):
    """What was done, when, by which task, and how it ended."""

    def begin_run(self, start: RunStart) -> int:
        """The id of the run's row. A retry, or a cleared DAG run, finds the same row, running again."""
        values = asdict(start)
        fresh = {**values, "state": State.RUNNING, "ended_at": None, "verdict": None, "verdict_reason": ""}
        with self._writing() as session:
            insert = insert_into(session, RunRow).values(**fresh, started_at=datetime.now(UTC), snapshot={})
            again = insert.on_conflict_do_update(index_elements=["dag_id", "dag_run_id"], set_=fresh)
            return session.scalars(again.returning(RunRow.id)).one()

    def add_snapshot(self, run_id: int, part: Mapping[str, Any]) -> None:
        """Merge ``part`` into the run's snapshot, at every depth: what others wrote beside it stays."""
        with self._writing() as session:
            row = existing(session, RunRow, run_id, lock=True)
            row.snapshot = _merged(row.snapshot, part)

    def finish_run(self, run_id: int, state: State, verdict: str | None = None, verdict_reason: str = "") -> None:
        """The run's end. Without a verdict an earlier one stays.

        Its hosts are free at once. Stages that a failed run left behind are closed.
        """
        with self._writing() as session:
            row = existing(session, RunRow, run_id, lock=True)
            row.state, row.ended_at = state, datetime.now(UTC)
            if verdict is not None:
                row.verdict, row.verdict_reason = verdict, verdict_reason
            give_back(session, run_id)
            if state is State.FAILED:
                _close_lost(session, StageRow.run_id == run_id)

    def judge_run(self, run_id: int, verdict: str, verdict_reason: str) -> None:
        """The run's verdict; the run goes on."""
        with self._writing() as session:
            row = existing(session, RunRow, run_id, lock=True)
            row.verdict, row.verdict_reason = verdict, verdict_reason

    def run(self, dag_id: str, dag_run_id: str) -> Run | None:
        """The run of a DAG run, None where it left nothing."""
        with self._reading() as session:
            row = session.scalar(select(RunRow).where(RunRow.dag_id == dag_id, RunRow.dag_run_id == dag_run_id))
            return record(Run, row) if row else None

    def run_by_id(self, run_id: int) -> Run:
        """Raises :class:`StoreError` where there is none."""
        with self._reading() as session:
            return record(Run, existing(session, RunRow, run_id))

    def find_run(self, run_id: int) -> Run | None:
        """The run with this id, None where there is none."""
        with self._reading() as session:
            row = session.get(RunRow, run_id)
            return record(Run, row) if row else None

    def runs_by_id(self, ids: Sequence[int]) -> dict[int, Run]:
        """Those of these runs that there are."""
        with self._reading() as session:
            rows = session.scalars(select(RunRow).where(RunRow.id.in_(ids)))
            return {row.id: record(Run, row) for row in rows}

    def runs(self, deployment: str | None = None, limit: int = 20) -> list[Run]:
        """The last runs, newest first: of one deployment, or of all."""
        newest = select(RunRow).order_by(RunRow.started_at.desc(), RunRow.id.desc()).limit(limit)
        with self._reading() as session:
            rows = session.scalars(newest if deployment is None else newest.where(RunRow.deployment == deployment))
            return [record(Run, row) for row in rows]

    def latest_revisions(self) -> dict[str, str]:
        """By deployment: the revision of its newest run, whatever became of it."""
        newest = select(func.max(RunRow.id)).where(RunRow.revision_id.is_not(None)).group_by(RunRow.deployment)
        with self._reading() as session:
            rows = session.scalars(select(RunRow).where(RunRow.id.in_(newest)).order_by(RunRow.deployment))
            return {row.deployment: row.revision_id for row in rows if row.revision_id}

    def begin_stage(self, run_id: int, name: str, map_index: int = -1, try_number: int = 1) -> int:
        """The id of this try's row; begun twice it is the same row. Earlier tries that never ended are closed.

        A run that had ended runs again: one of its tasks was cleared.
        """
        with self._writing() as session:
            run = existing(session, RunRow, run_id, lock=True)
            run.state, run.ended_at = State.RUNNING, None
            same = (StageRow.run_id == run_id, StageRow.name == name, StageRow.map_index == map_index)
            _close_lost(session, *same, StageRow.try_number < try_number)
            row = session.scalar(select(StageRow).where(*same, StageRow.try_number == try_number))
            row = row or StageRow(
                run_id=run_id, name=name, map_index=map_index, try_number=try_number, started_at=datetime.now(UTC)
            )
            row.state, row.ended_at, row.seconds = State.RUNNING, None, None
            row.actions, row.detail, row.error = 0, {}, ""
            session.add(row)
            session.flush()
            return row.id

    def finish_stage(self, stage_id: int, actions: int = 0, detail: Mapping[str, Any] | None = None) -> None:
        """The stage reached its goal with ``actions`` commands that changed something."""
        self._end_stage(stage_id, state=State.SUCCESS, actions=actions, detail=dict(detail or {}), error="")

    def fail_stage(self, stage_id: int, error: str, actions: int = 0, detail: Mapping[str, Any] | None = None) -> None:
        """The stage failed; the last 20,000 characters of ``error`` are kept."""
        said = error[-LONGEST_ERROR:]
        self._end_stage(stage_id, state=State.FAILED, actions=actions, detail=dict(detail or {}), error=said)

    def stages(self, run_id: int) -> list[Stage]:
        """Every try of every stage, in the order of their beginning."""
        with self._reading() as session:
            rows = session.scalars(select(StageRow).where(StageRow.run_id == run_id).order_by(StageRow.id))
            return [record(Stage, row) for row in rows]

    def note_stage(self, stage_id: int, detail: Mapping[str, Any]) -> None:
        """How far a stage is, while it runs; a stage that has ended keeps what it ended with."""
        with self._writing() as session:
            row = existing(session, StageRow, stage_id, lock=True)
            if row.state == State.RUNNING:
                row.detail = dict(detail)

    def stage_detail(self, stage_id: int) -> Mapping[str, Any]:
        """What is noted of a stage."""
        with self._reading() as session:
            return dict(existing(session, StageRow, stage_id).detail)

    def record_start(self, run_id: int, start: Mapping[str, Any]) -> None:
        """Keep the start that a run waited for: ``began_at``, ``time_to_ready_s``, ``phases``, ``cache``."""
        self.add_snapshot(run_id, {START: dict(start)})

    def starts(self, deployment: str, limit: int = 10) -> list[Start]:
        """The last starts of a deployment's server, newest first; runs that found it up already have none."""
        seconds = RunRow.snapshot[(START, "time_to_ready_s")].as_float()
        newest = select(RunRow).where(RunRow.deployment == deployment, seconds.is_not(None))
        with self._reading() as session:
            rows = session.scalars(newest.order_by(RunRow.started_at.desc(), RunRow.id.desc()).limit(limit))
            return [_start(row) for row in rows]

    def record_smoke(self, run_id: int, checks: Sequence[SmokeCheck]) -> None:
        """The smoke checks of a run, in place of those of an earlier try."""
        with self._writing() as session:
            existing(session, RunRow, run_id, lock=True)
            session.execute(delete(SmokeRow).where(SmokeRow.run_id == run_id))
            session.add_all(SmokeRow(run_id=run_id, **asdict(check)) for check in checks)

    def smoke(self, run_id: int) -> list[SmokeCheck]:
        """The smoke checks of a run, in the order in which they were made."""
        with self._reading() as session:
            rows = session.scalars(select(SmokeRow).where(SmokeRow.run_id == run_id).order_by(SmokeRow.id))
            return [record(SmokeCheck, row) for row in rows]

    def _end_stage(self, stage_id: int, **values: Any) -> None:
        with self._writing() as session:
            row = existing(session, StageRow, stage_id, lock=True)
            row.ended_at = datetime.now(UTC)
            row.seconds = (row.ended_at - row.started_at).total_seconds()
            for name, value in values.items():
                setattr(row, name, value)


def _start(row: RunRow) -> Start:
    kept = row.snapshot[START]
    return Start(
        run_id=row.id,
        deployment=row.deployment,
        revision_id=row.revision_id,
        rehearsal=row.rehearsal,
        began_at=kept["began_at"],
        time_to_ready_s=kept["time_to_ready_s"],
        phases=tuple(kept["phases"]),
        cache=kept.get("cache"),
    )


def _close_lost(session: Session, *which: Any) -> None:
    """Stages that are still marked as running, though nothing runs them any more."""
    lost = update(StageRow).where(*which, StageRow.state == State.RUNNING)
    session.execute(lost.values(state=State.FAILED, error=LOST, ended_at=datetime.now(UTC)))


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _merged(old[key], new[key]) for key in old.keys() & new.keys() if _mappings(old[key], new[key])}
    return {**old, **new, **both}


def _mappings(*values: Any) -> bool:
    return all(isinstance(value, Mapping) for value in values)
