"""Look at every host, and start nothing: would a deploy come through? By hand, or as the deployment file says when."""

from airflow.sdk import DAG, chain

from slipway.operators.dag import IN_TURN, dag_arguments, deployments, form_of
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import PreflightOperator

for spec in deployments():
    with DAG(**dag_arguments(spec, "preflight", __doc__)) as dag:
        chain(
            ResolveOperator(task_id="resolve", deployment=spec.name, job="preflight", **IN_TURN),
            PreflightOperator(task_id="preflight", alone=True),
        )
    dag.params = form_of(spec, "preflight")
    globals()[dag.dag_id] = dag
