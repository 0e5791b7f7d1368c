"""Look whether the server still answers; where it does not, keep the evidence, and start it again if it may."""

from airflow.sdk import DAG

from slipway.operators.dag import dag_arguments, deployments
from slipway.operators.liveness import LivenessOperator

for spec in deployments("watch"):
    with DAG(**dag_arguments(spec, "watch", __doc__)) as dag:
        LivenessOperator(task_id="liveness", deployment=spec.name, restart=spec.watch.restart)
    globals()[dag.dag_id] = dag
