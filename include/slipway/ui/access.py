"""Who may see a deployment: whoever may read its deploy DAG in Airflow."""

from __future__ import annotations

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.models.dag import DagModel
from fastapi import HTTPException, status


class Sight:
    """What one user may see."""

    def __init__(self, user: BaseUser) -> None:
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


def _dag_id(deployment: str) -> str:
    return f"{deployment}.deploy"
