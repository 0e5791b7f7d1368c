"""The end of a deploy: its revision is promoted, or the last good one is put back and the run has failed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from slipway.errors import NotPromoted, NotRestored, SlipwayError
from slipway.operators.beside import TRAFFIC, keep_commands, move_traffic, stop_router
from slipway.operators.downtime import begin_downtime, end_downtime
from slipway.operators.lease import held
from slipway.operators.links import LINKS
from slipway.operators.recording import RESOLVE, RESTORE, RUN, Recording, open_results, recorded

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.spec import DeploymentSpec
    from slipway.stages.site import Outcome
    from slipway.store import Run, Store

APPROVE, PROMOTE = "approve", "promote"

DECISIVE = (APPROVE, TRAFFIC, PROMOTE)
"""Tasks whose failure is a decision, and no accident."""

ENDED_FROM_OUTSIDE = "the task was ended from outside before it could say why"


@dataclass(frozen=True)
class Good:
    """The last good revision, and the run that promoted it."""

    revision_id: str
    run: Run
    spec: DeploymentSpec
    lock: str

    @property
    def model(self) -> str:
        return model_of(self.run)


def model_of(run: Run) -> str:
    """The folder on the hosts that a run served the weights from; empty where it was not kept."""
    return str(run.snapshot.get("model", {}).get("model", ""))


def last_good(store: Store, deployment: str) -> Good | None:
    """None where nothing was promoted since the last teardown."""
    promoted = store.promoted(deployment)
    if promoted is None:
        return None
    revision_id = promoted.revision_id
    return Good(revision_id, store.run_by_id(promoted.run_id), store.spec(revision_id), store.lock(revision_id))


class PromoteOperator(BaseOperator):
    """Makes the run's revision the last good one, or refuses it by its verdict."""

    custom_operator_name = "Promote"
    operator_extra_links = LINKS

    def execute(self, context: Context) -> dict[str, str]:
        from slipway.store import State

        with recorded(context, PROMOTE) as recording:
            require_good(recording)
            recording.store.promote(recording.run_id, recording.revision_id)
            recording.store.finish_run(recording.run_id, State.SUCCESS)
            self.log.info("promoted: revision %s", recording.revision_id)
        for outlet in self.outlets:
            extra = context["outlet_events"][outlet].extra
            extra |= {"endpoint": recording.spec.entrance, "run_id": recording.run_id}
            extra["revision_id"] = recording.revision_id
        return {"promoted": recording.revision_id}


def require_good(recording: Recording) -> None:
    """Raises NotPromoted where the verdict is against the run's revision, and another one is there to be put back;
    or where it does not run any more. Before traffic moves, what clients get is another one, on the other side."""
    from slipway.verdicts.promotion import refusal

    store = recording.store
    if not recording.serves_elsewhere and not _still_runs(recording):
        raise NotPromoted("this revision does not run any more", hint="deploy it again")
    run, good = store.run_by_id(recording.run_id), last_good(store, recording.spec.name)
    why = refusal(run.verdict, run.verdict_reason, recording.spec.redeploy)
    if why and good and not (good.model == model_of(run) and _served_alike(recording, good.spec, good.lock)):
        raise NotPromoted(why, hint=f"revision {good.revision_id} is put back; change the file, or `redeploy` in it")


def _still_runs(recording: Recording) -> bool:
    current, store = recording.store.current(recording.spec.name), recording.store
    return current is not None and _served_alike(
        recording, store.spec(current.revision_id), store.lock(current.revision_id)
    )


def _served_alike(recording: Recording, spec: DeploymentSpec, lock: str) -> bool:
    """Whether no stage would act to come from that deployment to the run's own."""
    from slipway.stages.difference import difference

    return not difference(spec, recording.spec, lock, recording.lock).acts


class RestoreOperator(BaseOperator):
    """Runs when everything else has ended. Puts the last good revision back where the run's was not promoted.

    Such a run has failed, so this task fails once its work is done, with both reports.
    """

    custom_operator_name = "Restore"
    operator_extra_links = LINKS

    def execute(self, context: Context) -> None:
        from slipway.store import State

        ids = context["ti"].xcom_pull(task_ids=RESOLVE, key=RUN)
        if ids is None:
            raise AirflowFailException("resolve failed, so nothing was touched and nothing is put back")
        with open_results() as store:
            if store.run_by_id(ids["run_id"]).state == State.SUCCESS:
                raise AirflowSkipException("promoted, so nothing is put back")
        with recorded(context, RESTORE) as recording:
            decisive, why = _refused(recording)
            outcome = self._outcome(recording, decisive, why)
            report = {"why": why, "outcome": outcome}
            recording.detail = {**recording.detail, **report}
            recording.store.add_snapshot(recording.run_id, {"restore": report})
            recording.store.finish_run(recording.run_id, State.FAILED)
        raise AirflowFailException(f"revision {recording.revision_id} is not promoted: {why}\n{outcome}")

    def _outcome(self, recording: Recording, decisive: bool, why: str) -> str:
        """What became of the last good revision, in a sentence. Raises NotRestored."""
        good = last_good(recording.store, recording.spec.name)
        if good is None:
            return "no revision was promoted before, so nothing is put back: what runs is as the failed task left it"
        if not decisive and recording.spec.redeploy.on_failure == "keep":
            return "redeploy.on_failure is keep, so nothing is put back: what runs is as the failed task left it"
        try:
            done = self._put_back(recording, good)
        except SlipwayError as error:
            failed = f"AND THE LAST GOOD REVISION {good.revision_id} COULD NOT BE PUT BACK: {error.args[0]}"
            message = f"revision {recording.revision_id} is not promoted: {why}\n{failed}"
            raise NotRestored(message, error) from error
        recording.actions, recording.detail = recording.actions + done.actions, dict(done.detail)
        proof = f"all {done.detail['asked']} smoke checks passed"
        if done.actions:
            return f"the last good revision {good.revision_id} was put back: {proof}"
        return f"the last good revision {good.revision_id} still serves, nothing had to be put back: {proof}"

    def _put_back(self, recording: Recording, good: Good) -> Outcome:
        from slipway.hooks.hosts import open_site
        from slipway.stages import restore

        store, run_id = recording.store, recording.run_id
        self.log.info("putting back revision %s, promoted by run %s", good.revision_id, good.run.id)
        with (
            held(store, run_id, good.spec, f"{store.run_by_id(run_id).job} ({RESTORE})"),
            open_site(good.spec, good.lock, self.log.info) as site,
        ):
            vacated = 0 if good.spec.beside else self._vacate(recording, good.spec)
            begin = partial(begin_downtime, store, run_id)
            outcome = restore.converge(replace(site, on_downtime=begin), good.model)
            moved = self._move_back(recording, good.spec)
        end_downtime(store, run_id)
        store.set_current(good.run.id, good.revision_id, good.spec.entrance)
        keep_commands(recording, site)
        detail = {**outcome.detail, **recording.detail}
        return replace(outcome, actions=outcome.actions + vacated + moved, detail=detail)

    def _move_back(self, recording: Recording, good: DeploymentSpec) -> int:
        """Clients get the last good server before the refused one, on the other side, is stopped. Answers how many
        commands moved them; those that stop it count apart, for they put nothing back."""
        if good.beside:
            moved = move_traffic(recording, good, self.log.info).actions
            recording.actions += self._vacate(recording, good)
            return moved
        if recording.spec.beside:
            recording.actions += stop_router(recording.spec, self.log.info)
        return 0

    def _vacate(self, recording: Recording, good: DeploymentSpec) -> int:
        """Stop what the refused revision runs on hosts that the last good one does not have."""
        from slipway.hooks.hosts import open_site
        from slipway.stages import restore

        addresses = {host.address for host in good.hosts}
        if all(host.address in addresses for host in recording.spec.hosts):
            return 0
        with open_site(recording.spec, recording.lock, self.log.info, partial=True) as site:
            return restore.vacate(site, addresses)


def _refused(recording: Recording) -> tuple[bool, str]:
    """Whether the failure was a decision, and the error of the task that failed first."""
    from slipway.store import State

    tries = [stage for stage in recording.store.stages(recording.run_id) if stage.name != RESTORE]
    latest = {(stage.name, stage.map_index): stage for stage in tries}
    for stage in latest.values():
        if stage.state != State.SUCCESS:
            return stage.name in DECISIVE, f"{stage.name}: {stage.error or ENDED_FROM_OUTSIDE}"
    return False, ENDED_FROM_OUTSIDE
