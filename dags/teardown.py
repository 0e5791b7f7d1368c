"""Stop everything of the deployment, and prove that nothing of it is left. Environments and weights stay."""

from airflow.sdk import DAG, chain

from slipway.operators.dag import IN_TURN, dag_arguments, deployments, form_of
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import TeardownOperator

for spec in deployments():
    with DAG(**dag_arguments(spec, "teardown", __doc__)) as dag:
        chain(
            ResolveOperator(task_id="resolve", deployment=spec.name, job="teardown", **IN_TURN),
            TeardownOperator(task_id="teardown"),
        )
    dag.params = form_of(spec, "teardown")
    globals()[dag.dag_id] = dag
