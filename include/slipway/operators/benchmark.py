"""The load test as mapped tasks, one a load level, and the verdict over all of them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from slipway.errors import SpecError, StoreError
from slipway.operators.lease import LEASE_S, leased_workers
from slipway.operators.links import LINKS
from slipway.operators.metrics import send_cell
from slipway.operators.recording import Recording, recorded

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.results import Measurement
    from slipway.spec import DeploymentSpec, Level
    from slipway.store import Store
    from slipway.verdicts.judge import Verdict
    from slipway.verdicts.kind import Kind


DATABASE_PATIENCE_S = 600.0
ASK_DATABASE_EVERY_S = 5.0
"""How long a cell that is measured waits for the results database, and how often it is tried."""


class BenchmarkOperator(BaseOperator):
    """Measures one load level; ``load`` names it. The cell is recorded by the task that measured it."""

    custom_operator_name = "Benchmark"
    operator_extra_links = LINKS

    def __init__(self, *, load: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.load = load

    def execute(self, context: Context) -> dict[str, Any]:
        with recorded(context, "benchmark") as recording:
            cell = self.carry_out(recording, context["ti"].try_number)
            self._age_out()
        return {"load": cell.load}

    def carry_out(self, recording: Recording, try_number: int) -> Measurement:
        """Measure and keep the level within a run, whichever task does it."""
        level = _level(recording.spec, self.load)
        folder = _folder(recording, level)
        recording.store.take_lease(recording.run_id, leased_workers(recording.spec), "load", LEASE_S)
        cell = self._measured(recording, level, folder)
        self._record(recording, cell, folder, try_number)
        found = {"load": cell.load, "validity": cell.validity, "reasons": list(cell.reasons)}
        recording.detail = {**recording.detail, **found}
        self.log.info("%s: %.1f output tokens/s, %s", cell.load, cell.output_tokens_per_s, cell.validity)
        send_cell(recording.spec.name, cell)
        return cell

    def _record(self, recording: Recording, cell: Measurement, folder: Path, try_number: int) -> None:
        """Keep what was measured. A database that is away just then is waited for: a new try would measure anew."""
        deadline = time.monotonic() + DATABASE_PATIENCE_S
        while True:
            try:
                recording.store.record_cell(recording.run_id, cell, str(folder), try_number=try_number)
            except StoreError as error:
                if time.monotonic() >= deadline:
                    raise
                self.log.warning("the cell is not recorded yet: %s", error)
            else:
                return
            time.sleep(ASK_DATABASE_EVERY_S)

    def _age_out(self) -> None:
        """Remove what this machine has kept of runs long past."""
        from slipway.hooks.settings import artifacts_folder, keep_rows_days
        from slipway.results.retention import age_out

        if aged := age_out(artifacts_folder(), keep_rows_days(), time.time()):
            self.log.info("raw rows and evidence removed, older than keep_rows_days: %s", ", ".join(aged))

    def _measured(self, recording: Recording, level: Level, folder: Path) -> Measurement:
        from slipway.hooks.hosts import open_site
        from slipway.hooks.settings import artifacts_folder
        from slipway.stages import benchmark
        from slipway.stages.load_workers import load_workers

        spec, here = recording.spec, (str(artifacts_folder()), sys.executable, folder)
        with open_site(spec, "", self.log.info) as site:
            workers = load_workers(spec, site.load_hosts)
            load = benchmark.LoadHost(*here, workers=workers, master_port=benchmark.master_port(spec))
            try:
                return benchmark.converge(site, load, level)
            finally:
                recording.detail = {**recording.detail, **site.commanded}


class VerdictOperator(BaseOperator):
    """Compares the run with its own history, and closes it but for a deploy, of which more is asked.

    What it returns is the result of the DAG run.
    """

    custom_operator_name = "Verdict"
    operator_extra_links = LINKS
    returns_dag_result = True

    def execute(self, context: Context) -> dict[str, str | int]:
        from slipway.store import State

        with recorded(context, "verdict") as recording:
            store, verdict = recording.store, _verdict(recording)
            store.judge_run(recording.run_id, verdict.answer, verdict.reason)
            if store.run_by_id(recording.run_id).job != "deploy":
                store.finish_run(recording.run_id, State.SUCCESS)
            recording.detail = {"verdict": verdict.answer, "reason": verdict.reason}
            recording.detail["compared"] = [str(shift) for shift in verdict.shifts]
            self.log.info("verdict: %s (%s)", verdict.answer, verdict.reason)
        ids: dict[str, str | int] = {"run_id": recording.run_id, "revision_id": recording.revision_id}
        result = {"verdict": verdict.answer, "reason": verdict.reason, "endpoint": recording.spec.entrance, **ids}
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = dict(result)
        return result


def _verdict(recording: Recording) -> Verdict:
    from slipway.verdicts.judge import Past, judge
    from slipway.verdicts.kind import changed, unlike

    store, run_id, limit = recording.store, recording.run_id, recording.spec.verdict.history
    cells = [cell.measurement for cell in store.cells(run_id)]
    loads = {cell.load: (cell.users, cell.rate, cell.shape) for cell in cells}
    earlier = {load: store.history(run_id, *asked, limit=limit) for load, asked in loads.items()}
    others = [other for asked in loads.values() for other in store.other_kinds(run_id, *asked, limit=1)]
    now = _kind(store, run_id)
    past = Past(
        {load: [cell.measurement for cell in found] for load, found in earlier.items()},
        store.starts_s(run_id, limit),
        unlike(now, _kind(store, others[0].run_id)) if others else (),
    )
    verdict = judge(cells, past, recording.spec.verdict, store.start_s(run_id))
    runs = sorted({cell.run_id for found in earlier.values() for cell in found}, reverse=True)
    return verdict.explained(changed(now, [_kind(store, each) for each in runs]))


def _kind(store: Store, run_id: int) -> Kind:
    from slipway.verdicts.kind import Kind

    run = store.run_by_id(run_id)
    return Kind(store.spec(str(run.revision_id)), run.snapshot)


def _folder(recording: Recording, level: Level) -> Path:
    from slipway.hooks.settings import artifacts_folder

    return artifacts_folder() / f"run-{recording.run_id}" / level.slug


def _level(spec: DeploymentSpec, load: str) -> Level:
    for level in spec.benchmark.levels:
        if level.load == load:
            return level
    raise SpecError(f"no level of {load} in revision", hint="clear the resolve task of this run")
