"""The load test as mapped tasks, one a load level, and the verdict over all of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from slipway.errors import SpecError
from slipway.operators.recording import Recording, recorded

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.results import Measurement
    from slipway.spec import DeploymentSpec, Level


class BenchmarkOperator(BaseOperator):
    """Measures one load level; ``load`` names it. The cell is recorded by the task that measured it."""

    custom_operator_name = "Benchmark"

    def __init__(self, *, load: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.load = load

    def execute(self, context: Context) -> dict[str, Any]:
        with recorded(context, "benchmark") as recording:
            level = _level(recording.spec, self.load)
            folder = _folder(recording, level)
            cell = self._measured(recording.spec, level, folder)
            recording.store.record_cell(recording.run_id, cell, str(folder), try_number=context["ti"].try_number)
            recording.detail = {"load": cell.load, "validity": cell.validity, "reasons": list(cell.reasons)}
            self.log.info("%s: %.1f output tokens/s, %s", cell.load, cell.output_tokens_per_s, cell.validity)
        return {"load": cell.load}

    def _measured(self, spec: DeploymentSpec, level: Level, folder: Path) -> Measurement:
        from slipway.hooks.hosts import open_site
        from slipway.hooks.settings import artifacts_folder
        from slipway.stages import benchmark

        load = benchmark.LoadHost(root=str(artifacts_folder()), python=sys.executable, folder=folder)
        with open_site(spec, "", self.log.info) as site:
            return benchmark.converge(site, load, level)


class VerdictOperator(BaseOperator):
    """Compares the run with its own history, and closes it but for a deploy, of which more is asked."""

    custom_operator_name = "Verdict"

    def execute(self, context: Context) -> dict[str, str]:
        from slipway.store import State
        from slipway.verdicts.judge import judge

        with recorded(context, "verdict") as recording:
            store, limits = recording.store, recording.spec.verdict
            cells = [cell.measurement for cell in store.cells(recording.run_id)]
            earlier = {
                cell.load: store.history(recording.run_id, cell.users, limits.history, rate=cell.rate) for cell in cells
            }
            history = {load: [cell.measurement for cell in found] for load, found in earlier.items()}
            verdict = judge(cells, history, limits)
            store.judge_run(recording.run_id, verdict.answer, verdict.reason)
            if store.run_by_id(recording.run_id).job != "deploy":
                store.finish_run(recording.run_id, State.SUCCESS)
            recording.detail = {"verdict": verdict.answer, "reason": verdict.reason}
            self.log.info("verdict: %s (%s)", verdict.answer, verdict.reason)
        return {"verdict": verdict.answer, "reason": verdict.reason}


def _folder(recording: Recording, level: Level) -> Path:
    from slipway.hooks.settings import artifacts_folder

    name = f"users-{level.users}" if level.users else f"rate-{level.rate:g}"
    return artifacts_folder() / f"run-{recording.run_id}" / name


def _level(spec: DeploymentSpec, load: str) -> Level:
    for level in spec.benchmark.levels:
        if level.load == load:
            return level
    raise SpecError(f"no level of {load} in revision", hint="clear the resolve task of this run")
