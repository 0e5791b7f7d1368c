"""Measure what is deployed: the load levels of the file or of the conf, compared with their own history."""

from airflow.sdk import DAG, chain

from slipway.operators.benchmark import BenchmarkOperator, VerdictOperator
from slipway.operators.dag import IN_TURN, ONCE, asset, dag_arguments, deployments, form_of, of_load
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import EnvironmentOperator, ReadyOperator, SmokeOperator

for spec in deployments():
    with DAG(**dag_arguments(spec, "benchmark", __doc__)) as dag:
        resolve = ResolveOperator(task_id="resolve", deployment=spec.name, job="benchmark", **IN_TURN)
        benchmark = BenchmarkOperator.partial(task_id="benchmark", **of_load(spec, "load")).expand(load=resolve.output)
        chain(
            resolve,
            EnvironmentOperator(task_id="environment"),
            ReadyOperator(task_id="ready"),
            SmokeOperator(task_id="smoke", **ONCE),
            benchmark,
            VerdictOperator(task_id="verdict", outlets=[asset(spec)]),
        )
    dag.params = form_of(spec, "benchmark")
    globals()[dag.dag_id] = dag
