"""A sweep: each point deployed and measured by the stages of a deploy, then the table, then what was good put back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from slipway.errors import NotRestored, SlipwayError, SpecError, StageError
from slipway.operators.benchmark import BenchmarkOperator
from slipway.operators.links import LINKS
from slipway.operators.recording import RESOLVE, RESTORE, RUN, Recording, recorded, stage_of
from slipway.operators.redeploy import RestoreOperator, last_good
from slipway.operators.stages import (
    EnvironmentOperator,
    NetworkOperator,
    RayClusterOperator,
    ReadyOperator,
    ServeOperator,
    SmokeOperator,
    StageOperator,
    WeightsOperator,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.spec import DeploymentSpec
    from slipway.spec.points import Point
    from slipway.store import Store

POINT, REPORT = "point", "report"

MACHINES = ("hosts", "hardware")
"""What the sweep's own preflight found, kept beside each point."""

LONGEST_CAUSE = 500
"""Characters of a cause in the table; the whole error stands with the stage."""


def begin_sweep(store: Store, run_id: int, spec: DeploymentSpec, lock: str) -> list[str]:
    """Keep what is to be tried, and answer the points' names. Raises SpecError where there are none."""
    from slipway.spec.points import point_digest, points
    from slipway.store import SweepPoint

    found = points(spec)
    kept = [
        SweepPoint(
            sweep_id=run_id,
            number=point.number,
            words=point.words,
            settings=point.settings,
            loads=[(each.users, each.rate, each.shape) for each in point.spec.benchmark.levels] if point.spec else [],
            digest=point_digest(point.spec, lock) if point.spec else None,
        )
        for point in found
    ]
    store.begin_sweep(run_id, kept)
    return [point.name for point in found]


@dataclass(frozen=True)
class Attempt:
    """One try of one point of a sweep."""

    sweep: Recording
    point: Point
    dag_id: str
    dag_run_id: str
    try_number: int

    def digest(self, spec: DeploymentSpec) -> str:
        from slipway.spec.points import point_digest

        return point_digest(spec, self.sweep.lock)

    def child(self, spec: DeploymentSpec) -> str:
        """What stands for the id of a DAG run in the point's own run; 250 characters are kept of such an id."""
        return f"{self.dag_run_id[:236]}#{self.digest(spec)}"

    def own_run(self, spec: DeploymentSpec) -> int | None:
        """The point's own run, where an earlier try or beginning of this DAG run has left one."""
        found = self.sweep.store.run(self.dag_id, self.child(spec))
        return found.id if found else None


class PointOperator(BaseOperator):
    """Serves one point, proves it by smoke, and measures it at each load that was not measured before.

    A point that fails is kept with its cause; the sweep goes on with the next one.
    """

    custom_operator_name = "Point"
    operator_extra_links = LINKS

    def __init__(self, *, point: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.point = point

    def execute(self, context: Context) -> dict[str, Any]:
        from slipway.spec.points import point_named

        with recorded(context, POINT) as sweep:
            point, dag_run = point_named(sweep.spec, self.point), context["dag_run"]
            attempt = Attempt(sweep, point, dag_run.dag_id, dag_run.run_id, context["ti"].try_number)
            measured = self._measured(attempt)
            sweep.detail = {"point": self.point, "measured": measured}
        return {"measured": measured}

    def _measured(self, attempt: Attempt) -> list[str]:
        """The loads that this try has measured."""
        from slipway.store import State

        sweep, point = attempt.sweep, attempt.point
        if point.spec is None:
            sweep.store.note_point(sweep.run_id, point.number, State.FAILED, point.fault)
            raise SpecError(point.fault, hint="leave this combination out; the sweep goes on without it")
        own = attempt.own_run(point.spec)
        missing = missing_loads(attempt, point.spec, own)
        if not missing:
            sweep.store.note_point(sweep.run_id, point.number, State.SUCCESS, run_id=own)
            self.log.info("every load of this point is measured already: %s", point.name)
            return []
        run_id, revision_id = begin_point(attempt, point.spec)
        sweep.store.note_point(sweep.run_id, point.number, State.RUNNING, run_id=run_id)
        self._deploy(attempt, run_id, revision_id, missing)
        return missing

    def _deploy(self, attempt: Attempt, run_id: int, revision_id: str, loads: list[str]) -> None:
        from slipway.store import State

        sweep, number = attempt.sweep, attempt.point.number
        try:
            serve_and_measure(attempt, run_id, revision_id, loads)
        except SlipwayError as error:
            sweep.store.finish_run(run_id, State.FAILED)
            sweep.store.note_point(sweep.run_id, number, State.FAILED, cause_of(sweep.store, run_id, error), run_id)
            raise
        sweep.store.finish_run(run_id, State.SUCCESS)
        sweep.store.note_point(sweep.run_id, number, State.SUCCESS, run_id=run_id)


def begin_point(attempt: Attempt, spec: DeploymentSpec) -> tuple[int, str]:
    """The run and the revision of a point: within one DAG run the same point is the same run."""
    from slipway.store import RunStart

    sweep = attempt.sweep
    revision_id = sweep.store.save_revision(spec, sweep.lock)
    start = RunStart(
        deployment=spec.name,
        job=POINT,
        dag_id=attempt.dag_id,
        dag_run_id=attempt.child(spec),
        revision_id=revision_id,
        rehearsal=spec.rehearsal,
        reason=f"point {attempt.point.name}",
        conf=dict(attempt.point.settings),
        point=attempt.digest(spec),
    )
    run_id = sweep.store.begin_run(start)
    found = sweep.store.run_by_id(sweep.run_id).snapshot
    sweep.store.add_snapshot(run_id, {"sweep": sweep.run_id, **{key: found[key] for key in MACHINES if key in found}})
    return run_id, revision_id


def missing_loads(attempt: Attempt, spec: DeploymentSpec, own: int | None) -> list[str]:
    """The loads of a point that no cell may be believed of; ``own`` is the run that deployed it for this sweep."""
    from slipway.results import Validity

    sweep = attempt.sweep
    found = sweep.store.counting_cells(sweep.run_id, attempt.digest(spec), own)
    known = {load for load, cell in found.items() if cell.validity is not Validity.INVALID}
    return [level.load for level in spec.benchmark.levels if level.load not in known]


STAGES: tuple[type[StageOperator], ...] = (
    *(EnvironmentOperator, WeightsOperator, RayClusterOperator, NetworkOperator, ServeOperator),
    *(ReadyOperator, SmokeOperator),
)
"""The stages of a deploy, in their order, up to the proof that the server answers rightly."""


def serve_and_measure(attempt: Attempt, run_id: int, revision_id: str, loads: list[str]) -> None:
    """Every stage of a deploy for one point, each kept with the point's run. Raises what the stages raise."""
    sweep = attempt.sweep
    kept = partial(
        stage_of,
        sweep.store,
        run_id=run_id,
        revision_id=revision_id,
        try_number=attempt.try_number,
        holder=sweep.run_id,
    )
    for stage in (kind(task_id=kind.stage) for kind in STAGES):
        if isinstance(stage, ReadyOperator):
            stage.stays = True
        with kept(stage.stage) as recording:
            stage.carry_out(recording)
            sweep.actions += recording.actions
    for place, load in enumerate(loads):
        with kept("benchmark", map_index=place) as recording:
            BenchmarkOperator(task_id="benchmark", load=load).carry_out(recording, attempt.try_number)


def cause_of(store: Store, run_id: int, error: SlipwayError) -> str:
    """Which stage failed, and why: by its diagnosis where there is one, and by its own words."""
    stages = [stage.name for stage in store.stages(run_id) if stage.state == "failed"]
    diagnosis = store.run_by_id(run_id).snapshot.get("diagnosis", {})
    words = " ".join(str(error.args[0]).split())
    known = f"{diagnosis['cause']}; " if diagnosis.get("kind") else ""
    return f"{stages[-1] if stages else POINT}: {known}{words}"[:LONGEST_CAUSE]


class SweepReportOperator(BaseOperator):
    """The table in the log, and the best cell with the front as the result of the DAG run. Never in the way."""

    custom_operator_name = "Report"
    operator_extra_links = LINKS
    returns_dag_result = True

    def execute(self, context: Context) -> dict[str, Any]:
        from slipway.results.sweep import counted, summary, told

        _require_begun(context)
        with recorded(context, REPORT) as recording:
            sweep = recording.spec.sweep
            rows = recording.store.sweep_rows(recording.run_id)
            if sweep is None or not rows:
                raise StageError("this run has no points", hint="clear its resolve task")
            self.log.info("%s", counted(rows))
            for line in told(rows, sweep):
                self.log.info("%s", line)
            found = summary(rows, sweep)
            recording.store.add_snapshot(recording.run_id, {"sweep": found})
            recording.detail = found
        return {"run_id": recording.run_id, "best": found["best"], "front": found["front"]}


class SweepRestoreOperator(RestoreOperator):
    """Runs when everything else has ended: the last good revision serves again, and smoke proves it.

    Where none was promoted, what the sweep started is stopped. The run has failed where no point came through.
    """

    def execute(self, context: Context) -> None:
        from slipway.store import State

        _require_begun(context)
        with recorded(context, RESTORE) as recording:
            outcome = self._ended(recording)
            self.log.info("%s", outcome)
            recording.detail = {**recording.detail, "outcome": outcome}
            recording.store.add_snapshot(recording.run_id, {"put_back": outcome})
            points = recording.store.sweep_points(recording.run_id)
            came_through = any(point.state == State.SUCCESS for point in points)
            recording.store.finish_run(recording.run_id, State.SUCCESS if came_through else State.FAILED)
        if not came_through:
            raise AirflowFailException(f"no point of the sweep came through; {outcome}")

    def _ended(self, recording: Recording) -> str:
        """What serves now, in a sentence. Raises NotRestored."""
        good = last_good(recording.store, recording.spec.name)
        if good is None:
            return self._stop(recording)
        try:
            done = self._put_back(recording, good)
        except SlipwayError as error:
            failed = f"the sweep has ended AND THE LAST GOOD REVISION {good.revision_id} COULD NOT BE PUT BACK"
            raise NotRestored(f"{failed}: {error.args[0]}", error) from error
        recording.actions, recording.detail = done.actions, dict(done.detail)
        how = "was put back" if done.actions else "still serves"
        return f"the last good revision {good.revision_id} {how}: all {done.detail['asked']} smoke checks passed"

    def _stop(self, recording: Recording) -> str:
        from slipway.hooks.hosts import open_site
        from slipway.stages import teardown

        with open_site(recording.spec, recording.lock, self.log.info) as site:
            recording.actions = teardown.converge(site).actions
        recording.store.clear_current(recording.spec.name)
        return "no revision was promoted before, so what the sweep started was stopped"


def _require_begun(context: Context) -> None:
    """Raises AirflowFailException where the first task has refused the run: nothing was touched."""
    if context["ti"].xcom_pull(task_ids=RESOLVE, key=RUN) is None:
        raise AirflowFailException("resolve failed, so nothing was touched")
