"""What the task *weights* tells while it stages, and the token that it gives to the hosts."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from slipway.errors import SpecError, StoreError
from slipway.hooks.hosts import open_site
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import WeightsOperator
from slipway.remote.weights.progress import GIB, Progress
from slipway.spec import DeploymentSpec
from slipway.stages import weights
from slipway.stages.site import Outcome, Site

LINE = "staged 1.2 of 4.0 GiB, 812 MiB/s, 4 s left"


@pytest.fixture
def context(store, make_context):
    begun = make_context()
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(begun)
    return begun


def stage_with(monkeypatch, converge) -> None:
    @contextmanager
    def opened(spec, lock, say, *, partial=False):
        yield Site(spec, {}, lock, say)

    monkeypatch.setattr("slipway.hooks.hosts.open_site", opened)
    monkeypatch.setattr(weights, "converge", converge)


def test_how_far_each_host_is_stands_in_the_run(store, context, monkeypatch):
    seen = []

    def converge(site):
        for host, line in (("one", "staged 0.1"), ("two", "staged 0.2"), ("one", LINE)):
            site.on_progress(host, line)
        [stage] = [each for each in store.stages(store.runs("demo")[0].id) if each.name == "weights"]
        seen.append(stage.detail)
        return Outcome(1, {"digest": "d1"})

    stage_with(monkeypatch, converge)
    WeightsOperator(task_id="weights").execute(context)
    assert seen == [{"progress": {"one": LINE, "two": "staged 0.2"}}]
    [stage] = [each for each in store.stages(store.runs("demo")[0].id) if each.name == "weights"]
    assert stage.detail == {"digest": "d1"}, "what it ended with"


def test_a_database_that_is_away_stops_no_staging(store, context, monkeypatch):
    def away(*_):
        raise StoreError("the database is away")

    def converge(site):
        monkeypatch.setattr("slipway.store.Store.note_stage", away)
        site.on_progress("one", LINE)
        return Outcome(1, {})

    stage_with(monkeypatch, converge)
    assert WeightsOperator(task_id="weights").execute(context) == {"actions": 1}


def test_a_line_of_the_job_is_known_for_what_it_is():
    """Where nothing moves there is no time left to tell."""
    progress, told = Progress("staged", 4 * GIB), []
    site = Site(None, {}, say=lambda _: None, on_progress=lambda *each: told.append(each))
    still = progress.line()
    progress.add(copied=GIB)
    moving = progress.line()
    for line in (still, moving, "[slipway agent] weights.tiny done: exit code 0"):
        weights._shown(site, "one", line)
    assert told == [("one", still), ("one", moving)]
    assert "left" in moving


def token(demo: DeploymentSpec, connection: str) -> str:
    changed = demo.weights.model_copy(update={"token_connection": connection})
    with open_site(demo.model_copy(update={"hosts": (), "weights": changed}), "", print) as site:
        return site.hub_token()


def api_key(demo: DeploymentSpec, connection: str | None) -> str:
    changed = demo.serve.model_copy(update={"api_key_connection": connection})
    with open_site(demo.model_copy(update={"hosts": (), "serve": changed}), "", print) as site:
        return site.api_key()


def test_the_servers_key_is_a_connections_password(store, context, monkeypatch):
    demo = store.spec(store.runs("demo")[0].revision_id)
    for name, password in {
        "KEY": "sk-canary!",
        "SHORT": "canary",
        "SPACE": "a canary sings",
        "LINE": "canary\ncanary",
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic", "password": password}))
    assert (api_key(demo, "key"), api_key(demo, None)) == ("sk-canary!", "")
    for name in ("short", "space", "line"):
        with pytest.raises(
            SpecError, match=f"serve.api_key_connection: the password of '{name}' is no API key"
        ) as refused:
            api_key(demo, name)
        assert "canary" not in str(refused.value)
    with pytest.raises(SpecError, match=r"serve\.api_key_connection: no Airflow connection 'none'"):
        api_key(demo, "none")


def test_the_hubs_token_is_a_connections_password(store, context, monkeypatch):
    demo = store.spec(store.runs("demo")[0].revision_id)
    monkeypatch.setenv("AIRFLOW_CONN_HUB", '{"conn_type": "generic", "password": "hf_canary"}')
    monkeypatch.setenv("AIRFLOW_CONN_EMPTY", '{"conn_type": "generic"}')
    assert token(demo, "hub") == "hf_canary"
    with pytest.raises(SpecError, match="'empty' has no password"):
        token(demo, "empty")
    assert token(demo, "") == ""
