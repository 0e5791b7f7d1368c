"""From bare hosts to a verdict: prepare, start, prove, measure, compare; then promote, or put back what was good."""

from airflow.sdk import DAG, chain

from slipway.operators.benchmark import BenchmarkOperator, VerdictOperator
from slipway.operators.dag import (
    IN_TURN,
    LAST,
    ONCE,
    approval,
    asset,
    dag_arguments,
    deployments,
    form_of,
    of_load,
    traffic,
)
from slipway.operators.redeploy import PromoteOperator, RestoreOperator
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import (
    EnvironmentOperator,
    NetworkOperator,
    PreflightOperator,
    RayClusterOperator,
    ReadyOperator,
    ServeOperator,
    SmokeOperator,
    WeightsOperator,
)

for spec in deployments():
    with DAG(**dag_arguments(spec, "deploy", __doc__)) as dag:
        resolve = ResolveOperator(task_id="resolve", deployment=spec.name, job="deploy", **IN_TURN)
        benchmark = BenchmarkOperator.partial(task_id="benchmark", **of_load(spec, "load")).expand(load=resolve.output)
        environment, weights = EnvironmentOperator(task_id="environment"), WeightsOperator(task_id="weights")
        promote = PromoteOperator(task_id="promote", outlets=[asset(spec)])
        chain(
            resolve,
            PreflightOperator(task_id="preflight"),
            [environment, weights],
            RayClusterOperator(task_id="ray_cluster"),
            NetworkOperator(task_id="network"),
            ServeOperator(task_id="serve"),
            ReadyOperator(task_id="ready"),
            SmokeOperator(task_id="smoke", **ONCE),
            benchmark,
            VerdictOperator(task_id="verdict"),
            *approval(spec),
            *traffic(spec),
            promote,
        )
        [environment, weights, benchmark, promote] >> RestoreOperator(task_id="restore", **LAST)
    dag.params = form_of(spec, "deploy")
    globals()[dag.dag_id] = dag
