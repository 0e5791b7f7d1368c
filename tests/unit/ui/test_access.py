"""Who may read a run's files, and who may start what; as Airflow's auth manager says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi import HTTPException

from slipway.ui import access


@dataclass(frozen=True)
class Manager:
    """Strict: one user, one readable DAG, and the rights that are given beside that."""

    rights: frozenset[tuple[str, DagAccessEntity]]

    def get_authorized_dag_ids(self, *, user: str, method: str) -> set[str]:
        assert (user, method) == ("me", "GET")
        return {"demo.deploy"}

    def is_authorized_dag(self, *, method: str, access_entity: DagAccessEntity, details: Any, user: str) -> bool:
        assert (details.team_name, user) == ("red", "me")
        assert details.id in ("demo.deploy", "demo.benchmark")
        return (method, access_entity) in self.rights


@pytest.fixture
def sight(monkeypatch: pytest.MonkeyPatch) -> Callable[..., access.Sight]:
    dags = {
        "demo.deploy": SimpleNamespace(is_stale=False, is_paused=False),
        "demo.benchmark": SimpleNamespace(is_stale=False, is_paused=True),
    }
    model = SimpleNamespace(get_dagmodel=dags.get, get_team_name=lambda _: "red")
    monkeypatch.setattr(access, "DagModel", model)

    def of(*rights: tuple[str, DagAccessEntity]) -> access.Sight:
        monkeypatch.setattr(access, "get_auth_manager", lambda: Manager(frozenset(rights)))
        return access.Sight("me")  # type: ignore[arg-type]

    return of


def test_the_files_of_a_run_need_the_right_to_read_its_tasks_logs(sight: Callable[..., access.Sight]) -> None:
    sight(("GET", DagAccessEntity.TASK_LOGS)).require_logs("demo")
    with pytest.raises(HTTPException) as refused:
        sight(("POST", DagAccessEntity.RUN)).require_logs("demo")
    assert (refused.value.status_code, "task logs" in refused.value.detail) == (403, True)


def test_a_job_may_be_started_by_who_may_create_its_dag_runs(sight: Callable[..., access.Sight]) -> None:
    mine = sight(("POST", DagAccessEntity.RUN))
    assert [mine.action("demo", job) for job in ("deploy", "benchmark", "sweep")] == ["ready", "paused", "absent"]
    assert sight().action("demo", "deploy") == "forbidden"
