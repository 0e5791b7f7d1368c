"""The end of a run as a receiver of webhooks gets it, by a connection of Airflow's."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from airflow.sdk.exceptions import AirflowFailException

from slipway.errors import HostUnfit
from slipway.operators.dag import close_failed_run, dag_arguments, deployments
from slipway.operators.notify import tell_failure, tell_success
from slipway.operators.recording import recorded
from slipway.operators.resolve import ResolveOperator
from slipway.store import State


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *arguments):
        """Nothing on standard error."""


@pytest.fixture
def receiver(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.got, server.answer = [], 200
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        path = f"json://127.0.0.1:{server.server_port}/hook"
        connection = {"conn_type": "apprise", "extra": {"config": {"path": path}}}
        monkeypatch.setenv("AIRFLOW_CONN_SLIPWAY_NOTIFY", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__SLIPWAY__NOTIFY_CONN", "slipway_notify")
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def begun(store, make_context):
    context = make_context(conf={"reason": "new driver"}, run_id="manual__2026-11-24T10:00:00+00:00")
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
    return context


PLACE = "https://airflow.example/dags/demo.deploy/runs/manual__2026-11-24T10%3A00%3A00%2B00%3A00"


def test_a_run_that_ended_well_is_told_with_its_verdict_and_a_link(store, begun, receiver):
    run = store.runs("demo")[0]
    store.finish_run(run.id, State.SUCCESS, "better", "output tokens a second rose by 9 %")
    tell_success(begun)
    [message] = receiver.got
    assert (message["title"], message["type"]) == ("demo.deploy (rehearsal) ended well: better", "success")
    assert message["message"].splitlines() == [
        "reason: new driver",
        "verdict: better (output tokens a second rose by 9 %)",
        PLACE,
    ]


def test_a_run_that_failed_is_told_with_its_stage_and_error(begun, receiver):
    with pytest.raises(AirflowFailException), recorded(begun, "preflight"):
        raise HostUnfit("one", "port 28000 is taken by nginx", hint="end it")
    tell_failure(begun)
    [message] = receiver.got
    assert (message["title"], message["type"]) == ("demo.deploy (rehearsal) failed at preflight", "failure")
    assert "[one] port 28000 is taken by nginx\n  next: end it" in message["message"]
    assert message["message"].endswith(PLACE)


def test_a_revision_that_was_not_promoted_is_told_with_what_runs_now(store, begun, receiver):
    run = store.runs("demo")[0]
    report = {"why": "the verdict is worse", "outcome": "revision 0123 serves again"}
    store.add_snapshot(run.id, {"restore": report})
    store.finish_run(run.id, State.FAILED, "worse", "output tokens a second fell by 20 %")
    tell_failure(begun)
    assert receiver.got[0]["title"] == "demo.deploy (rehearsal) failed"
    assert receiver.got[0]["message"].splitlines()[1:-1] == [
        "verdict: worse (output tokens a second fell by 20 %)",
        "not promoted: the verdict is worse",
        "revision 0123 serves again",
    ]


def test_a_long_error_keeps_its_end_where_the_cause_stands(begun, receiver):
    with pytest.raises(AirflowFailException), recorded(begun, "weights"):
        raise HostUnfit("one", "x" * 9000, hint="the cause")
    tell_failure(begun)
    assert len(receiver.got[0]["message"]) < 2000
    assert "the cause" in receiver.got[0]["message"]


def test_a_run_that_left_nothing_is_told_too(store, make_context, receiver):
    tell_failure(make_context(run_id="lost"))
    assert receiver.got[0]["title"] == "demo.deploy failed"


@pytest.mark.parametrize("wrong", ["refused", "gone", "no connection", "no config"])
def test_what_cannot_be_sent_is_said_in_the_log_and_changes_nothing(store, begun, receiver, monkeypatch, caplog, wrong):
    if wrong == "refused":
        receiver.answer = 500
    elif wrong == "gone":
        away = {"conn_type": "apprise", "extra": {"config": {"path": "json://127.0.0.1:9/hook"}}}
        monkeypatch.setenv("AIRFLOW_CONN_SLIPWAY_NOTIFY", json.dumps(away))
    elif wrong == "no connection":
        monkeypatch.setenv("AIRFLOW__SLIPWAY__NOTIFY_CONN", "nobody_made_it")
    else:
        monkeypatch.setenv("AIRFLOW_CONN_SLIPWAY_NOTIFY", json.dumps({"conn_type": "apprise"}))
    before = store.runs("demo")
    tell_failure(begun)
    assert "notification 'demo.deploy (rehearsal) failed'" in caplog.text
    assert store.runs("demo") == before


def test_without_a_connection_nobody_is_told_and_nothing_is_called(monkeypatch):
    [spec] = [spec for spec in deployments() if spec.name == "demo"]
    monkeypatch.delenv("AIRFLOW__SLIPWAY__NOTIFY_CONN", raising=False)
    arguments = dag_arguments(spec, "deploy", "docs")
    assert arguments["on_failure_callback"] is close_failed_run
    assert "on_success_callback" not in arguments
    monkeypatch.setenv("AIRFLOW__SLIPWAY__NOTIFY_CONN", "slipway_notify")
    told = dag_arguments(spec, "deploy", "docs")
    assert told["on_failure_callback"] == [close_failed_run, tell_failure]
    assert told["on_success_callback"] is tell_success
