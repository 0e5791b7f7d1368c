"""Who may see a deployment: whoever may read its deploy DAG in Airflow."""

from __future__ import annotations

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.dag import DagModel
from fastapi import HTTPException, status


class Sight:
    """What one user may see."""

    def __init__(self, user: BaseUser) -> None:
        self._user = user
        self._dag_ids = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")

    def has(self, deployment: str) -> bool:
        return _dag_id(deployment) in self._dag_ids

    def require(self, deployment: str) -> None:
        """Raises 403 for a deployment out of sight, 404 for one that has no DAG in Airflow."""
        if self.has(deployment):
            return
        if DagModel.get_dagmodel(_dag_id(deployment)) is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"Airflow has no DAG {_dag_id(deployment)}")
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"you may not read the DAG {_dag_id(deployment)}")

    def require_logs(self, deployment: str) -> None:
        """Raises 403 where the user may see the deployment but not read its tasks' logs."""
        self.require(deployment)
        if not self._may(deployment, "deploy", "GET", DagAccessEntity.TASK_LOGS):
            raise HTTPException(
                status.HTTP_403_FORBIDDEN, f"you may not read the task logs of the DAG {_dag_id(deployment)}"
            )

    def action(self, deployment: str, job: str) -> str:
        """``ready`` where the user may start a job; else why not: ``absent``, ``forbidden``; ``paused`` where its DAG
        would keep the run waiting."""
        dag = DagModel.get_dagmodel(_dag_id(deployment, job))
        if dag is None or dag.is_stale:
            return "absent"
        if not self._may(deployment, job, "POST", DagAccessEntity.RUN):
            return "forbidden"
        return "paused" if dag.is_paused else "ready"

    def _may(self, deployment: str, job: str, method: ResourceMethod, entity: DagAccessEntity) -> bool:
        dag_id = _dag_id(deployment, job)
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
        may: bool = get_auth_manager().is_authorized_dag(
            method=method, access_entity=entity, details=details, user=self._user
        )
        return may


def _dag_id(deployment: str, job: str = "deploy") -> str:
    return f"{deployment}.{job}"
