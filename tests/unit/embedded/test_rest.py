"""The client against a strict stand-in for Airflow: a request that a test did not announce is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from slipway.embedded import rest
from slipway.embedded.answers import TaskInstance
from slipway.embedded.rest import AirflowClient, Login
from slipway.errors import AirflowRefused, AirflowUnreachable, RunExists, SlipwayError

LOGIN = Login("http://127.0.0.1:8080", "admin", "open sesame")
RUN = {"dag_id": "toy", "dag_run_id": "r1", "state": "queued", "start_date": None, "end_date": None}


class Script(httpx.BaseTransport):
    """Answers the announced requests, in order."""

    def __init__(self, *steps: tuple[str, str, Callable[[httpx.Request], httpx.Response]]) -> None:
        self.steps = list(steps)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert self.steps, f"not announced: {request.method} {request.url}"
        method, path, answer = self.steps.pop(0)
        assert (request.method, request.url.path) == (method, path)
        return answer(request)


def says(status: int, body: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(status, json=body, request=request)


def token(value: str = "t1") -> tuple[str, str, Callable[[httpx.Request], httpx.Response]]:
    return ("POST", "/auth/token", says(201, {"access_token": value}))


def client(*steps: tuple[str, str, Callable[[httpx.Request], httpx.Response]]) -> AirflowClient:
    return AirflowClient(LOGIN, Script(*steps))


def test_a_token_is_fetched_once_and_sent_with_every_request() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        return httpx.Response(200, json=RUN, request=request)

    path = "/api/v2/dags/toy/dagRuns/r1"
    speaker = client(token(), ("GET", path, answer), ("GET", path, answer))
    speaker.run("toy", "r1")
    speaker.run("toy", "r1")
    assert sent == ["Bearer t1", "Bearer t1"]


def test_a_given_token_is_sent_and_none_is_fetched() -> None:
    path, sent = "/api/v2/dags/toy/dagRuns/r1", []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        return httpx.Response(401 if len(sent) == 2 else 200, json=RUN, request=request)

    speaker = AirflowClient(Login("http://127.0.0.1:8080", "", "", "given"), Script(*[("GET", path, answer)] * 2))
    speaker.run("toy", "r1")
    with pytest.raises(AirflowRefused, match="see user, password or token"):
        speaker.run("toy", "r1")
    assert sent == ["Bearer given"] * 2


def lines(*states: str) -> Callable[[httpx.Request], httpx.Response]:
    text = "\n".join(json.dumps({"state": state}) for state in states)
    return lambda request: httpx.Response(200, text=text, request=request)


WAIT = "/api/v2/dags/toy/dagRuns/r1/wait"


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_wait_ends_with_the_run(state: str) -> None:
    speaker = client(token(), ("GET", WAIT, lines("queued", "running", state)))
    assert speaker.wait("toy", "r1") == state


def test_a_wait_that_breaks_off_is_asked_for_again() -> None:
    speaker = client(
        token(),
        ("GET", WAIT, lines("running")),
        ("GET", WAIT, says(502, {})),
        ("GET", WAIT, lines("success")),
    )
    assert speaker.wait("toy", "r1", interval_s=0.01) == "success"


def test_a_wait_is_given_up_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "PATIENCE", 2)
    speaker = client(token(), *[("GET", WAIT, says(502, {}))] * 3)
    with pytest.raises(AirflowUnreachable):
        speaker.wait("toy", "r1", interval_s=0.01)


def test_what_slipway_has_recorded_is_asked_of_its_own_api() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {"dag_id": "toy", "dag_run_id": "r1"}
        return httpx.Response(200, json={"verdict": "same"}, request=request)

    assert client(token(), ("GET", "/slipway/api/dag-run", answer)).recorded("toy", "r1") == {"verdict": "same"}


def test_a_token_that_is_no_longer_taken_is_renewed() -> None:
    path = "/api/v2/dags/toy/dagRuns/r1"
    old = ("GET", path, says(401, {"detail": "expired"}))
    speaker = client(token("old"), ("GET", path, says(200, RUN)), old, token("new"), ("GET", path, says(200, RUN)))
    speaker.run("toy", "r1")
    assert speaker.run("toy", "r1").state == "queued"


def test_a_wrong_password_is_refused_with_advice_and_never_shown() -> None:
    refused = ("POST", "/auth/token", says(401, {"detail": "Invalid credentials"}))
    with pytest.raises(AirflowRefused, match=r"HTTP 401 Invalid credentials\n  next: see user, password") as caught:
        client(refused).run("toy", "r1")
    assert "sesame" not in str(caught.value) + repr(LOGIN)


def test_a_run_is_triggered_with_its_id_and_conf() -> None:
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json=RUN, request=request)

    client(token(), ("POST", "/api/v2/dags/toy/dagRuns", answer)).trigger("toy", "r1", {"users": 4})
    assert bodies == [{"logical_date": None, "dag_run_id": "r1", "conf": {"users": 4}}]


def test_a_run_id_that_was_used_raises_its_own_error() -> None:
    body = {"detail": {"reason": "Unique constraint violation", "statement": "hidden"}}
    taken = ("POST", "/api/v2/dags/toy/dagRuns", says(409, body))
    with pytest.raises(RunExists, match="to trigger toy as r1: HTTP 409 Unique constraint violation"):
        client(token(), taken).trigger("toy", "r1", {})


def test_a_refused_field_is_named() -> None:
    body = {"detail": [{"loc": ["body", "conf"], "msg": "Input should be a valid dictionary"}]}
    wrong = ("POST", "/api/v2/dags/toy/dagRuns", says(422, body))
    with pytest.raises(AirflowRefused, match=r"body\.conf: Input should be a valid dictionary"):
        client(token(), wrong).trigger("toy", "r1", {})


@pytest.mark.parametrize("status", [500, 503])
def test_an_airflow_that_is_not_well_may_be_asked_again(status: int) -> None:
    broken = ("GET", "/api/v2/dags/toy", lambda request: httpx.Response(status, text="oops", request=request))
    with pytest.raises(AirflowUnreachable, match=f"HTTP {status} oops") as caught:
        client(token(), broken).dag("toy")
    assert caught.value.transient


def test_no_answer_is_an_error_that_may_pass() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    with pytest.raises(AirflowUnreachable, match=r"127\.0\.0\.1:8080 gives no answer: ConnectError") as caught:
        client(("GET", "/api/v2/monitor/health", refuse)).health()
    assert isinstance(caught.value, SlipwayError)


def test_health_asks_without_logging_in() -> None:
    well = ("GET", "/api/v2/monitor/health", says(200, {"scheduler": {"status": "healthy"}}))
    assert client(well).health().sick == ()


def test_task_instances_are_read_to_the_last_page() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        entry = {
            "task_id": "level",
            "state": None,
            "try_number": 0,
            "start_date": None,
            "end_date": None,
            "duration": None,
            "rendered_map_index": None,
        }
        entries = [entry | {"map_index": index} for index in range(offset, min(130, offset + 100))]
        return httpx.Response(200, json={"task_instances": entries, "total_entries": 130}, request=request)

    path = "/api/v2/dags/toy/dagRuns/r1/taskInstances"
    found = client(token(), ("GET", path, page), ("GET", path, page)).task_instances("toy", "r1")
    assert [task.map_index for task in found] == list(range(130))


def test_the_log_keeps_only_its_last_lines() -> None:
    entries = [{"event": "::group::Pre Execute"}, *({"event": f"line {number}"} for number in range(50))]
    text = "\n".join(map(json.dumps, entries))
    path = "/api/v2/dags/toy/dagRuns/r1/taskInstances/level/logs/2"
    log = ("GET", path, lambda request: httpx.Response(200, text=text, request=request))
    task = TaskInstance("level", 3, "failed", 2, None, None, None, None)
    assert client(token(), log).log_tail("toy", "r1", task, 2) == ["line 48", "line 49"]


def test_a_log_that_is_not_there_is_refused() -> None:
    path = "/api/v2/dags/toy/dagRuns/r1/taskInstances/level/logs/1"
    task = TaskInstance("level", -1, "failed", 1, None, None, None, None)
    with pytest.raises(AirflowRefused, match="the log of level: HTTP 404"):
        client(token(), ("GET", path, says(404, {"detail": "TaskInstance not found"}))).log_tail("toy", "r1", task)
