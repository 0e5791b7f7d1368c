"""The first task of each DAG: file and conf become one immutable revision, the run gets its row and its hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from slipway.errors import LeaseHeld, SlipwayError, SpecError
from slipway.operators.lease import LEASE_S, leased_hosts, undisturbed
from slipway.operators.links import LINKS
from slipway.operators.recording import RUN, open_results
from slipway.operators.sweep import begin_sweep
from slipway.spec import (
    BenchmarkOverrides,
    DeploymentSpec,
    DeployOverrides,
    Overrides,
    PreflightOverrides,
    SweepOverrides,
    TeardownOverrides,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.store import Store

CONF: dict[str, type[Overrides]] = {
    "deploy": DeployOverrides,
    "benchmark": BenchmarkOverrides,
    "preflight": PreflightOverrides,
    "sweep": SweepOverrides,
    "teardown": TeardownOverrides,
}
"""What the conf of each job may hold."""

OF_THE_FILE = ("deploy", "preflight", "sweep")
"""Jobs that take the deployment file as it is now."""

ON_THEIR_SIDE = ("deploy", "preflight")
"""Jobs that, with ``swap: beside``, are about the hosts that the next server is started on."""


class ResolveOperator(BaseOperator):
    """Refuses a file or conf that is wrong, with every fault named; answers the load levels of this run, or the points
    of a sweep.

    A benchmark or a teardown is of what runs, so it takes the revision that is deployed; a deploy or a sweep takes the
    file, and so does a preflight, which is about the next deploy. While another run holds a host, Airflow tries again
    as often as the DAG says; nothing else is tried again.
    """

    custom_operator_name = "Resolve"
    operator_extra_links = LINKS

    def __init__(self, *, deployment: str, job: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deployment = deployment
        self.job = job

    def execute(self, context: Context) -> list[str]:
        try:
            with open_results() as store:
                return self._resolve(context, store)
        except LeaseHeld:
            raise
        except SlipwayError as error:
            raise AirflowFailException(str(error)) from error

    def _resolve(self, context: Context, store: Store) -> list[str]:
        from slipway.spec import parse_overrides
        from slipway.stages.difference import placed
        from slipway.store import RunStart

        dag_run = context["dag_run"]
        if dag_run.run_type == "scheduled":
            undisturbed(store, self.deployment, "to measure")
        conf = dict(dag_run.conf or {})
        base, lock = self._base(store)
        spec, overrides = parse_overrides(conf, base, CONF[self.job])
        if isinstance(overrides, DeployOverrides) and overrides.revision:
            base, lock = self._earlier(store, overrides.revision)
            spec, overrides = parse_overrides(conf, base, CONF[self.job])
        self._require_found(store, spec)
        if self.job in ON_THEIR_SIDE:
            spec = placed(store, spec, lock)
        revision_id = store.save_revision(spec, lock)
        start = RunStart(
            deployment=spec.name,
            job=self.job,
            dag_id=dag_run.dag_id,
            dag_run_id=dag_run.run_id,
            revision_id=revision_id,
            rehearsal=spec.rehearsal,
            reason=overrides.reason,
            conf=conf,
        )
        run_id = store.begin_run(start)
        self.log.info("%s: revision %s, run %s", spec.name, revision_id, run_id)
        self._take_hosts(context, store, run_id, spec)
        if self.job in ON_THEIR_SIDE and placed(store, spec, lock).hosts != spec.hosts:
            raise LeaseHeld(f"{spec.name} has changed its side meanwhile", hint="the next try finds it there")
        if self.job == "deploy":
            self._tell_difference(store, run_id, spec, lock)
        context["ti"].xcom_push(key=RUN, value={"run_id": run_id, "revision_id": revision_id})
        if self.job == "sweep":
            return begin_sweep(store, run_id, spec, lock)
        return [level.load for level in spec.benchmark.levels]

    def _require_found(self, store: Store, spec: DeploymentSpec) -> None:
        """Raises SpecError where what runs would be lost from sight."""
        from slipway.stages.difference import require_same_root

        if current := store.current(self.deployment):
            require_same_root(store.spec(current.revision_id), spec)

    def _tell_difference(self, store: Store, run_id: int, spec: DeploymentSpec, lock: str) -> None:
        """What this run changes of what runs: in the log, and with the run."""
        from slipway.results.redeploy import difference_told
        from slipway.stages.difference import from_running

        data = from_running(store, spec, lock)
        store.add_snapshot(run_id, {"difference": data})
        for line in difference_told(data):
            self.log.info(line)

    def _take_hosts(self, context: Context, store: Store, run_id: int, spec: DeploymentSpec) -> None:
        """Raises LeaseHeld; at the last try, and where the file says ``refuse``, the run has failed then."""
        from slipway.store import State

        refused = spec.when_busy == "refuse"
        try:
            store.take_lease(run_id, leased_hosts(spec), self.job, LEASE_S)
        except LeaseHeld as error:
            if refused or context["ti"].try_number > context["ti"].max_tries:
                store.finish_run(run_id, State.FAILED)
            if refused:
                raise AirflowFailException(f"refused, as when_busy says: {error}") from error
            raise

    def _base(self, store: Store) -> tuple[DeploymentSpec, str]:
        """What the conf is applied to, with its lock: the files for a deploy or a preflight, else what is deployed."""
        current = store.current(self.deployment)
        if current and self.job not in OF_THE_FILE:
            return store.spec(current.revision_id), store.lock(current.revision_id)
        if self.job == "benchmark":
            raise SpecError(
                f"{self.deployment}: nothing is deployed, so there is nothing to measure",
                hint=f"trigger {self.deployment}.deploy first",
            )
        return self._file()

    def _earlier(self, store: Store, revision_id: str) -> tuple[DeploymentSpec, str]:
        """A revision that was asked for before, with its lock. Raises SpecError where it is not of this deployment."""
        known = store.revisions_by_id([revision_id]).get(revision_id)
        if known is None or known.deployment != self.deployment:
            raise SpecError(
                f"conf: revision: {self.deployment} has no revision {revision_id}",
                hint="the deployment's page lists its revisions",
            )
        return store.spec(revision_id), store.lock(revision_id)

    def _file(self) -> tuple[DeploymentSpec, str]:
        from slipway.hooks.settings import deployments_folder, lock_text
        from slipway.spec import load_deployment

        spec = load_deployment(deployments_folder() / f"{self.deployment}.yaml")
        return spec, lock_text(spec)
