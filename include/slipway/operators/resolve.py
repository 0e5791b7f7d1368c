"""The first task of each DAG: file and conf become one immutable revision, and the run gets its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from slipway.errors import SlipwayError, SpecError
from slipway.operators.failure import as_airflow
from slipway.operators.recording import RUN, open_results
from slipway.spec import BenchmarkOverrides, DeploymentSpec, DeployOverrides, Overrides, TeardownOverrides

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.store import Store

CONF: dict[str, type[Overrides]] = {
    "deploy": DeployOverrides,
    "benchmark": BenchmarkOverrides,
    "teardown": TeardownOverrides,
}
"""What the conf of each job may hold."""


class ResolveOperator(BaseOperator):
    """Refuses a file or conf that is wrong, with every fault named; answers the load levels of this run.

    A benchmark or a teardown is of what runs, so it takes the revision that is deployed; a deploy takes the file.
    """

    custom_operator_name = "Resolve"

    def __init__(self, *, deployment: str, job: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deployment = deployment
        self.job = job

    def execute(self, context: Context) -> list[int]:
        try:
            with open_results() as store:
                return self._resolve(context, store)
        except SlipwayError as error:
            raise as_airflow(error) from error

    def _resolve(self, context: Context, store: Store) -> list[int]:
        from slipway.spec import parse_overrides
        from slipway.store import RunStart

        dag_run = context["dag_run"]
        conf = dict(dag_run.conf or {})
        base, lock = self._base(store)
        spec, overrides = parse_overrides(conf, base, CONF[self.job])
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
        context["ti"].xcom_push(key=RUN, value={"run_id": run_id, "revision_id": revision_id})
        return [level.users for level in spec.benchmark.levels]

    def _base(self, store: Store) -> tuple[DeploymentSpec, str]:
        """What the conf is applied to, with its lock: the files for a deploy, else the revision that is deployed."""
        current = store.current(self.deployment)
        if current and self.job != "deploy":
            return store.spec(current.revision_id), store.lock(current.revision_id)
        if self.job == "benchmark":
            raise SpecError(
                f"{self.deployment}: nothing is deployed, so there is nothing to measure",
                hint=f"trigger {self.deployment}.deploy first",
            )
        return self._file()

    def _file(self) -> tuple[DeploymentSpec, str]:
        from slipway.hooks.settings import deployments_folder, lock_text
        from slipway.spec import load_deployment

        spec = load_deployment(deployments_folder() / f"{self.deployment}.yaml")
        return spec, lock_text(spec)
