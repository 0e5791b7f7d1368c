"""A run that is late: the DAG's deadline as Airflow keeps it, and the message."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from slipway.operators.dag import dag_arguments, deadline
from slipway.operators.lateness import tell_late
from slipway.spec import load_deployment

DEMO = load_deployment(Path(__file__).parents[3] / "include" / "deployments" / "demo.yaml")
CONTEXT = {"dag_run": {"dag_id": "demo.deploy", "dag_run_id": "release-42"}, "deadline": {"id": "1"}}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What Airflow's hook was given."""
    given: list[dict] = []

    async def async_notify(hook, **message) -> None:
        given.append({"conn": hook.apprise_conn_id, **message})

    monkeypatch.setattr("airflow.providers.apprise.hooks.apprise.AppriseHook.async_notify", async_notify)
    return given


def test_only_the_jobs_that_the_file_names_have_a_deadline():
    spec = DEMO.model_copy(update={"late_after_s": {"deploy": 3600}})
    assert deadline(spec, "benchmark") is None
    assert dag_arguments(DEMO, "deploy", "")["deadline"] is None
    found = dag_arguments(spec, "deploy", "")["deadline"]
    assert (found.reference.reference_name, found.interval.total_seconds()) == ("DagRunQueuedAtDeadline", 3600)
    assert found.callback.serialize() == {"path": "slipway.operators.lateness.tell_late", "kwargs": {"after_s": 3600}}


def test_airflow_keeps_it_with_the_dag():
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    spec = DEMO.model_copy(update={"late_after_s": {"deploy": 3600}})
    data = DagSerialization.to_dict(DAG(**dag_arguments(spec, "deploy", "")))
    [kept] = data["dag"]["deadline"]
    assert "slipway.operators.lateness.tell_late" in str(kept)


def test_people_are_told(sent, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SLIPWAY__NOTIFY_CONN", "people")
    asyncio.run(tell_late(3600, CONTEXT))
    [message] = sent
    assert (message["conn"], message["title"], message["notify_type"]) == ("people", "demo.deploy is late", "warning")
    said, link = message["body"].splitlines()
    assert said == "run release-42 has not ended 3600 s after it was queued; it goes on"
    assert link.endswith("/dags/demo.deploy/runs/release-42")


def test_without_a_connection_the_log_says_it(sent, caplog):
    with caplog.at_level(logging.WARNING):
        asyncio.run(tell_late(60, CONTEXT))
    assert sent == []
    assert "demo.deploy is late: run release-42 has not ended 60 s" in caplog.text
