"""Deploy and measure each point of the file's `sweep`, name the best one, and put the last good revision back."""

from airflow.sdk import DAG, chain

from slipway.operators.dag import IN_TURN, LAST, dag_arguments, deployments, form_of, of_load
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import PreflightOperator
from slipway.operators.sweep import PointOperator, SweepReportOperator, SweepRestoreOperator

for spec in deployments("sweep"):
    with DAG(**dag_arguments(spec, "sweep", __doc__)) as dag:
        resolve = ResolveOperator(task_id="resolve", deployment=spec.name, job="sweep", **IN_TURN)
        point = PointOperator.partial(task_id="point", **of_load(spec, "point")).expand(point=resolve.output)
        chain(
            resolve,
            PreflightOperator(task_id="preflight"),
            point,
            SweepReportOperator(task_id="report", **LAST),
            SweepRestoreOperator(task_id="restore", **LAST),
        )
    dag.params = form_of(spec, "sweep")
    globals()[dag.dag_id] = dag
