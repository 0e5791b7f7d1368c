"""The way from a task in Airflow's UI to Slipway's pages. Airflow keeps each link as an XCom when a task has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class RunPageLink(BaseOperatorLink):
    """To what the task's run did and measured."""

    name = "Slipway run"
    xcom_key = "slipway_run_page"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        from slipway.hooks.settings import run_url

        return f"{run_url(ti_key.dag_id, ti_key.run_id)}/plugin/slipway-run"


class DeploymentPageLink(BaseOperatorLink):
    """To the deployment that the task works for."""

    name = "Slipway deployment"
    xcom_key = "slipway_deployment_page"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        from slipway.hooks.settings import deployment_url

        return deployment_url(ti_key.dag_id.rpartition(".")[0])


LINKS = (RunPageLink(), DeploymentPageLink())
