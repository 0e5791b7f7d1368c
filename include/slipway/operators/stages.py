"""The stages as tasks: each opens the hosts, converges, and records what it did."""

from __future__ import annotations

import importlib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator

from slipway.operators.beside import open_router, stop_router
from slipway.operators.downtime import begin_downtime, end_downtime
from slipway.operators.healing import keep_restarts
from slipway.operators.links import LINKS
from slipway.operators.recording import Recording, recorded

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.stages.site import Outcome, Site
    from slipway.stages.watch import Watch

SYNCHRONOUS_S = 10.0
"""How long the task *ready* waits itself. A trigger that fires within seconds of the deferral can fail its task."""


class StageOperator(BaseOperator):
    """One stage of a deployment. Looking first, it does nothing where everything is already so."""

    operator_extra_links = LINKS
    stage: ClassVar[str]
    without_lost_hosts: ClassVar[bool] = False
    """Whether the stage does its work on the hosts within reach where another is not."""
    looks_at_server: ClassVar[bool] = False
    """Whether restarts that the agent made by itself are written down before the stage acts, which may forget them."""

    def execute(self, context: Context) -> dict[str, Any]:
        with recorded(context, self.stage) as recording:
            outcome = self.carry_out(recording)
        return {"actions": outcome.actions}

    def carry_out(self, recording: Recording) -> Outcome:
        """The stage's work within a run, whichever task does it."""
        from slipway.hooks.hosts import open_site

        begin = partial(begin_downtime, recording.store, recording.run_id)
        with open_site(recording.spec, recording.lock, self.log.info, partial=self.without_lost_hosts) as site:
            if self.looks_at_server:
                keep_restarts(site, recording)
            try:
                outcome = self.converge(replace(site, on_downtime=begin), recording)
            finally:
                recording.detail = {**recording.detail, **site.commanded}
        recording.actions, recording.detail = outcome.actions, {**outcome.detail, **site.commanded}
        self.record(recording, outcome)
        self.log.info("%s: %s", self.stage, outcome.summary)
        return outcome

    def converge(self, site: Site, recording: Recording) -> Outcome:
        """Bring the hosts to what the deployment says. The module in ``slipway.stages`` of the same name does it."""
        outcome: Outcome = importlib.import_module(f"slipway.stages.{self.stage}").converge(site)
        return outcome

    def record(self, recording: Recording, outcome: Outcome) -> None:
        """What this stage keeps beside its own row."""


class PreflightOperator(StageOperator):
    """Keeps the whole table, and only then fails for a host that is not fit. ``alone``: the run ends with it.

    With ``swap: beside`` it is of the hosts that the next server is started on, and of the router.
    """

    stage = "preflight"
    without_lost_hosts = True
    custom_operator_name = "Preflight"

    def __init__(self, *, alone: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alone = alone

    def converge(self, site: Site, recording: Recording) -> Outcome:
        from slipway.stages import preflight, traffic

        outcome = super().converge(site, recording)
        if site.spec.beside is None:
            return outcome
        with open_router(site.spec, self.log.info, partial=True) as machine:
            return preflight.with_check(outcome, traffic.fit(machine), self.log.info)

    def record(self, recording: Recording, outcome: Outcome) -> None:
        from slipway.stages.preflight import require_fit
        from slipway.store import State
        from slipway.verdicts.kind import hardware

        hosts = outcome.detail["hosts"]
        recording.detail.pop("hosts", None)
        recording.store.add_snapshot(recording.run_id, {"hosts": hosts, "hardware": hardware(recording.spec, hosts)})
        require_fit(outcome.detail)
        if self.alone:
            recording.store.finish_run(recording.run_id, State.SUCCESS)


class EnvironmentOperator(StageOperator):
    stage = "environment"
    custom_operator_name = "Environment"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        recording.store.add_snapshot(recording.run_id, {"versions": outcome.detail["versions"]})
        recording.keep_machines()


class WeightsOperator(StageOperator):
    """While it stages, the stage's row says how far each host is."""

    stage = "weights"
    custom_operator_name = "Weights"

    def converge(self, site: Site, recording: Recording) -> Outcome:
        from slipway.errors import StoreError

        progress: dict[str, str] = {}

        def note(host: str, line: str) -> None:
            progress[host] = line
            try:
                recording.store.note_stage(recording.stage_id, {"progress": dict(progress)})
            except StoreError as error:
                self.log.warning("how far it is could not be noted: %s", error)

        return super().converge(replace(site, on_progress=note), recording)

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
    """From here on the host runs this revision, ready or not. One beside what serves is not what clients get."""

    stage = "serve"
    looks_at_server = True
    custom_operator_name = "Serve"

    def record(self, recording: Recording, outcome: Outcome) -> None:
        if recording.serves_elsewhere:
            return
        recording.store.set_current(
            recording.run_id,
            recording.revision_id,
            recording.spec.entrance,
            state="starting" if outcome.actions else "serving",
        )


class ReadyOperator(StageOperator):
    """The first stage that a run of the benchmark alone shares with the deploy that it measures.

    A server that still starts after ``SYNCHRONOUS_S`` is waited for in the triggerer. When there is something to see
    there, this task looks itself, and concludes. With ``stays`` the task waits itself to the end.
    """

    stage = "ready"
    looks_at_server = True
    custom_operator_name = "Ready"

    def __init__(self, *, stays: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stays = stays
        self._event: dict[str, Any] = {}

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the trigger's ``event``."""
        self._event = event
        return self.execute(context)

    def converge(self, site: Site, recording: Recording) -> Outcome:
        from slipway.stages.ready import attend
        from slipway.stages.watch import Mark, Watch

        last = recording.store.starts(recording.spec.name, 1)
        deadline_at = self._event.get("deadline_at") or time.time() + recording.spec.serve.ready_timeout_s
        mark = Mark(self._event.get("shown", 0), self._event.get("moved_at", 0.0))
        watch = Watch(site, deadline_at, mark, known=last[0].began_at if last else None)
        try:
            outcome = attend(watch, float("inf") if self.stays else SYNCHRONOUS_S)
        finally:
            recording.detail = watch.detail
            keep_restarts(site, recording)
        return outcome or self._deferred(watch, recording, deadline_at)

    def _deferred(self, watch: Watch, recording: Recording, deadline_at: float) -> NoReturn:
        from slipway.operators.lease import LEASE_S
        from slipway.triggers.ready import ReadyTrigger

        recording.store.note_stage(recording.stage_id, watch.detail)
        ids = {"run_id": recording.run_id, "stage_id": recording.stage_id}
        trigger = ReadyTrigger(**ids, deadline_at=deadline_at, **vars(watch.mark), lease_s=LEASE_S)
        self.log.info("it still starts: the wait goes on in the triggerer")
        self.defer(trigger=trigger, method_name="execute_complete")

    def record(self, recording: Recording, outcome: Outcome) -> None:
        end_downtime(recording.store, recording.run_id)
        if "time_to_ready_s" in outcome.detail:
            names = ("began_at", "time_to_ready_s", "phases", "cache")
            start = {name: outcome.detail[name] for name in names if name in outcome.detail}
            recording.store.record_start(recording.run_id, start)
        recording.keep_network()
        recording.keep_model()
        if not recording.serves_elsewhere:
            recording.store.set_current(recording.run_id, recording.revision_id, recording.spec.entrance)


class SmokeOperator(StageOperator):
    """Records every answer, and only then fails for a wrong one: such a run is worse, whatever it would measure."""

    stage = "smoke"
    custom_operator_name = "Smoke"

    def converge(self, site: Site, recording: Recording) -> Outcome:
        """With lm-eval's tasks, where the file has them, as one more check of a server that has passed the others."""
        from slipway.stages import evaluation

        outcome, gate = super().converge(site, recording), site.spec.verdict.lm_eval
        if gate is None or not all(result.passed for result in outcome.detail["checks"]):
            return outcome
        checks = [*outcome.detail["checks"], evaluation.converge(site, gate)]
        return replace(outcome, detail={**outcome.detail, "checks": checks})

    def record(self, recording: Recording, outcome: Outcome) -> None:
        from slipway.stages.smoke import require_passed
        from slipway.store import SmokeCheck
        from slipway.verdicts.judge import Answer

        results = outcome.detail["checks"]
        recording.store.record_smoke(recording.run_id, [SmokeCheck(**vars(result)) for result in results])
        failed = [f"{result.name}: {result.detail}" for result in results if not result.passed]
        recording.detail = {"passed": len(results) - len(failed), "asked": len(results)}
        if "accuracy" in outcome.detail:
            recording.detail["accuracy"] = outcome.detail["accuracy"]
        if failed:
            recording.store.judge_run(recording.run_id, Answer.WORSE, f"it answers wrongly: {'; '.join(failed)}")
        require_passed(results)


class TeardownOperator(StageOperator):
    """Stops what is within reach, records that, and only then fails for a host that is not."""

    stage = "teardown"
    looks_at_server = True
    without_lost_hosts = True
    custom_operator_name = "Teardown"

    def converge(self, site: Site, recording: Recording) -> Outcome:
        """With ``swap: beside`` the router first, then either side."""
        from slipway.hooks.hosts import open_site
        from slipway.stages import teardown

        if site.spec.beside is None:
            return super().converge(site, recording)
        stopped = stop_router(site.spec, self.log.info)
        here = super().converge(site, recording)
        with open_site(site.spec.swapped(), recording.lock, self.log.info, partial=True) as other:
            there = teardown.converge(other)
        both = teardown.together(here, there)
        return replace(both, actions=both.actions + stopped)

    def record(self, recording: Recording, outcome: Outcome) -> None:
        from slipway.stages.teardown import require_reached
        from slipway.store import State

        require_reached(outcome)
        recording.store.clear_current(recording.spec.name)
        recording.store.finish_run(recording.run_id, State.SUCCESS)
