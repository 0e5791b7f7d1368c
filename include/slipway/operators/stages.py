"""The stages as tasks: each opens the hosts, converges, and records what it did."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from slipway.operators.downtime import begin_downtime, end_downtime
from slipway.operators.recording import Recording, recorded

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.stages.site import Outcome, Site


class StageOperator(BaseOperator):
    """One stage of a deployment. Looking first, it does nothing where everything is already so."""

    stage: ClassVar[str]
    without_lost_hosts: ClassVar[bool] = False
    """Whether the stage does its work on the hosts within reach where another is not."""

    def execute(self, context: Context) -> dict[str, Any]:
        from slipway.hooks.hosts import open_site

        with recorded(context, self.stage) as recording:
            begin = partial(begin_downtime, recording.store, recording.run_id)
            with open_site(recording.spec, recording.lock, self.log.info, partial=self.without_lost_hosts) as site:
                outcome = self.converge(replace(site, on_downtime=begin))
            recording.actions, recording.detail = outcome.actions, dict(outcome.detail)
            self.record(recording, outcome)
            self.log.info("%s: %s", self.stage, outcome.summary)
        return {"actions": outcome.actions}

    def converge(self, site: Site) -> Outcome:
        """Bring the hosts to what the deployment says. The module in ``slipway.stages`` of the same name does it."""
        outcome: Outcome = importlib.import_module(f"slipway.stages.{self.stage}").converge(site)
        return outcome

    def record(self, recording: Recording, outcome: Outcome) -> None:
        """What this stage keeps beside its own row."""


class PreflightOperator(StageOperator):
    stage = "preflight"
    custom_operator_name = "Preflight"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        recording.store.add_snapshot(recording.run_id, {"hosts": outcome.detail["hosts"]})


class EnvironmentOperator(StageOperator):
    stage = "environment"
    custom_operator_name = "Environment"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        recording.store.add_snapshot(recording.run_id, {"versions": outcome.detail["versions"]})


class WeightsOperator(StageOperator):
    stage = "weights"
    custom_operator_name = "Weights"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        recording.store.add_snapshot(recording.run_id, {"model": dict(outcome.detail)})


class RayClusterOperator(StageOperator):
    stage = "ray_cluster"
    custom_operator_name = "Ray cluster"


class NetworkOperator(StageOperator):
    """Keeps the figure; where the proof is not made again, that of the run which brought up what runs now."""

    stage = "network"
    custom_operator_name = "Network proof"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        if "kept" in outcome.detail:
            recording.keep_network()
        else:
            recording.store.add_snapshot(recording.run_id, {"network": dict(outcome.detail)})


class ServeOperator(StageOperator):
    """From here on the host runs this revision, ready or not."""

    stage = "serve"
    custom_operator_name = "Serve"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        recording.store.set_current(
            recording.run_id,
            recording.revision_id,
            recording.spec.endpoint,
            state="starting" if outcome.actions else "serving",
        )


class ReadyOperator(StageOperator):
    """The first stage that a run of the benchmark alone shares with the deploy that it measures."""

    stage = "ready"
    custom_operator_name = "Ready"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        end_downtime(recording.store, recording.run_id)
        recording.keep_network()
        recording.keep_model()
        recording.store.set_current(recording.run_id, recording.revision_id, recording.spec.endpoint)


class SmokeOperator(StageOperator):
    """Records every answer, and only then fails for a wrong one."""

    stage = "smoke"
    custom_operator_name = "Smoke"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        from slipway.stages.smoke import require_passed
        from slipway.store import SmokeCheck

        results = outcome.detail["checks"]
        recording.store.record_smoke(recording.run_id, [SmokeCheck(**vars(result)) for result in results])
        recording.detail = {"passed": sum(result.passed for result in results), "asked": len(results)}
        require_passed(results)


class TeardownOperator(StageOperator):
    """Stops what is within reach, records that, and only then fails for a host that is not."""

    stage = "teardown"
    without_lost_hosts = True
    custom_operator_name = "Teardown"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        from slipway.stages.teardown import require_reached
        from slipway.store import State

        require_reached(outcome)
        recording.store.clear_current(recording.spec.name)
        recording.store.finish_run(recording.run_id, State.SUCCESS)
