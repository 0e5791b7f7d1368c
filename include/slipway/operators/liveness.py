"""A look at the running server: whether its engine answers; where it does not, the evidence, and a start anew."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from slipway.errors import LeaseHeld, SlipwayError
from slipway.operators.downtime import begin_downtime, end_downtime
from slipway.operators.lease import undisturbed
from slipway.operators.links import LINKS
from slipway.operators.recording import Recording, open_results, stage_of
from slipway.operators.redeploy import model_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.store import Current, Store

WATCH, LIVENESS, RESTART = "watch", "liveness", "restart"


class LivenessOperator(BaseOperator):
    """Asks the running server for one completion. Only what is wrong leaves a run in the store, and holds the hosts.

    A look that finds something has failed, also where ``restart`` has brought the server back.
    """

    custom_operator_name = "Liveness"
    operator_extra_links = LINKS

    def __init__(self, *, deployment: str, restart: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deployment = deployment
        self.restart = restart

    def execute(self, context: Context) -> dict[str, Any]:
        with open_results() as store:
            current = _idle(store, self.deployment)
            try:
                return self._look(store, current)
            except SlipwayError as error:
                if error.transient and context["ti"].try_number <= context["ti"].max_tries:
                    raise
                self._fail(context, store, current, error)

    def _look(self, store: Store, current: Current) -> dict[str, Any]:
        from slipway.hooks.hosts import open_site
        from slipway.stages import liveness

        spec, lock = store.spec(current.revision_id), store.lock(current.revision_id)
        with open_site(spec, lock, self.log.info) as site:
            return dict(liveness.converge(site).detail)

    def _fail(self, context: Context, store: Store, current: Current, error: SlipwayError) -> NoReturn:
        """Keep what is known of it, start the server again where that is wanted, and end in failure."""
        from slipway.store import State

        if _idle(store, self.deployment) != current:
            raise AirflowSkipException(f"{self.deployment}: another run came to it meanwhile")
        run_id = self._begin(context, store, current)
        kept = partial(stage_of, store, run_id=run_id, revision_id=current.revision_id)
        try:
            with kept(LIVENESS):
                raise error
        except LeaseHeld as held:
            store.finish_run(run_id, State.FAILED)
            raise AirflowSkipException(f"{self.deployment}: another run came to it meanwhile: {held}") from held
        except SlipwayError:
            self.log.error("%s", error)  # noqa: TRY400 - Airflow shows the traceback of what is raised below
        try:
            outcome = self._restarted(store, kept, current) if self.restart else "watch.restart is false: nothing done"
        except SlipwayError as failed:
            store.finish_run(run_id, State.FAILED)
            raise AirflowFailException(f"{error}\nAND IT COULD NOT BE STARTED AGAIN: {failed}") from failed
        store.finish_run(run_id, State.FAILED)
        raise AirflowFailException(f"{error}\n{outcome}") from error

    def _begin(self, context: Context, store: Store, current: Current) -> int:
        from slipway.store import RunStart

        dag_run, spec = context["dag_run"], store.spec(current.revision_id)
        start = RunStart(
            deployment=self.deployment,
            job=WATCH,
            dag_id=dag_run.dag_id,
            dag_run_id=dag_run.run_id,
            revision_id=current.revision_id,
            rehearsal=spec.rehearsal,
        )
        return store.begin_run(start)

    def _restarted(self, store: Store, kept: Any, current: Current) -> str:
        """What became of the server, in a sentence. Raises what the stages raise."""
        from slipway.hooks.hosts import open_site
        from slipway.stages import restart

        model = model_of(store.run_by_id(current.run_id))
        with kept(RESTART) as recording:
            site_of = partial(open_site, recording.spec, recording.lock, self.log.info)
            with site_of() as site:
                done = restart.converge(replace(site, on_downtime=_down(recording)), model)
            recording.actions, recording.detail = done.actions, dict(done.detail)
            end_downtime(store, recording.run_id)
        return f"it was started again and serves: all {done.detail['asked']} smoke checks passed"


def _down(recording: Recording) -> Any:
    return partial(begin_downtime, recording.store, recording.run_id)


def _idle(store: Store, deployment: str) -> Current:
    """What runs and has served, with no run at work on it. Raises AirflowSkipException where there is none."""
    current = undisturbed(store, deployment, "to look at")
    if current.state != "serving":
        raise AirflowSkipException(f"{deployment}: revision {current.revision_id} has not served yet")
    return current
