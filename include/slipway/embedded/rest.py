"""Airflow's REST API, as far as Slipway needs it: every call is bounded, every refusal says what to do next."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from slipway.embedded.answers import (
    ENDED_RUN,
    UNMAPPED,
    Dag,
    Health,
    ImportFault,
    Run,
    Task,
    TaskInstance,
    parse_dag,
    parse_health,
    parse_import_fault,
    parse_log_entry,
    parse_run,
    parse_task,
    parse_task_instance,
)
from slipway.errors import AirflowRefused, AirflowUnreachable, RunExists, SlipwayError

API = "/api/v2"
SLIPWAY_API = "/slipway"
PATIENCE = 30
"""How often in a row a wait may find no answer before it is given up."""
TIMEOUT_S = 20.0
PAGE = 100


@dataclass(frozen=True)
class Login:
    """Where Airflow's API is, and who asks: a user with a password, or whoever a ``token`` was given to."""

    url: str
    user: str
    password: str = field(repr=False)
    token: str = field(default="", repr=False)


class _TokenAuth(httpx.Auth):
    """Fetches a token with the first request, and a new one where the old is no longer taken."""

    requires_response_body = True

    def __init__(self, login: Login) -> None:
        self._login = login
        self._token: str | None = login.token or None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED or not self._login.user:
                return
        answer = yield self._token_request()
        if answer.status_code != httpx.codes.CREATED:
            raise refusal(answer, f"{self._login.url}: a token for user {self._login.user!r}")
        self._token = answer.json()["access_token"]
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request

    def _token_request(self) -> httpx.Request:
        body = {"username": self._login.user, "password": self._login.password}
        return httpx.Request("POST", f"{self._login.url}/auth/token", json=body)


class AirflowClient:
    """One connection to Airflow's REST API.

    Every method raises AirflowUnreachable or AirflowRefused. Proxies and certificates that the environment names are
    heeded only for an Airflow that is ``elsewhere``: an embedded one listens on this machine.
    """

    def __init__(self, login: Login, transport: httpx.BaseTransport | None = None, *, elsewhere: bool = False) -> None:
        self.url = login.url
        self._http = httpx.Client(
            base_url=login.url, auth=_TokenAuth(login), timeout=TIMEOUT_S, trust_env=elsewhere, transport=transport
        )

    def close(self) -> None:
        self._http.close()

    def health(self, timeout_s: float = 5.0) -> Health:
        """The state of each part; asks without logging in."""
        return parse_health(self._json("GET", "/monitor/health", "the health of Airflow", auth=None, timeout=timeout_s))

    def dag(self, dag_id: str) -> Dag:
        return parse_dag(self._json("GET", f"/dags/{dag_id}", f"the DAG {dag_id}"))

    def unpause(self, dag_id: str) -> None:
        self._json("PATCH", f"/dags/{dag_id}", f"to unpause the DAG {dag_id}", json={"is_paused": False})

    def reparse(self, dag: Dag) -> None:
        """Ask for the DAG's file to be parsed next; Airflow does so within seconds."""
        self._send("PUT", f"/parseDagFile/{dag.file_token}", f"to parse the DAG {dag.dag_id} again")

    def import_faults(self) -> list[ImportFault]:
        answer = self._json("GET", "/importErrors", "the import errors", params={"limit": PAGE})
        return [parse_import_fault(entry) for entry in answer["import_errors"]]

    def tasks(self, dag_id: str) -> list[Task]:
        answer = self._json("GET", f"/dags/{dag_id}/tasks", f"the tasks of {dag_id}")
        return [parse_task(entry) for entry in answer["tasks"]]

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> Run:
        """Start a run. A run id that was used before raises RunExists, and nothing is started."""
        body = {"logical_date": None, "dag_run_id": run_id, "conf": dict(conf)}
        return parse_run(self._json("POST", f"/dags/{dag_id}/dagRuns", f"to trigger {dag_id} as {run_id}", json=body))

    def run(self, dag_id: str, run_id: str) -> Run:
        return parse_run(self._json("GET", f"/dags/{dag_id}/dagRuns/{run_id}", f"the run {run_id} of {dag_id}"))

    def wait(self, dag_id: str, run_id: str, interval_s: float = 2.0) -> str:
        """The state in which the run ended. A stream that breaks off is asked for again."""
        path, asked = f"{API}/dags/{dag_id}/dagRuns/{run_id}/wait", f"to wait for the run {run_id} of {dag_id}"
        broken = 0
        while True:
            try:
                for answer in self._lines(path, asked, interval=interval_s):
                    broken = 0
                    if answer["state"] in ENDED_RUN:
                        return str(answer["state"])
            except AirflowUnreachable:
                broken += 1
                if broken > PATIENCE:
                    raise
            time.sleep(interval_s)

    def recorded(self, dag_id: str, run_id: str) -> Mapping[str, Any]:
        """What Slipway's own API says of a DAG run: its verdict among other things."""
        params = {"dag_id": dag_id, "dag_run_id": run_id}
        asked = f"what Slipway has recorded of the run {run_id} of {dag_id}"
        answer: Mapping[str, Any] = self._json("GET", "/api/dag-run", asked, api=SLIPWAY_API, params=params)
        return answer

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Every task instance of the run, mapped parts too."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[TaskInstance] = []
        while True:
            params = {"limit": PAGE, "offset": len(found), "order_by": "id"}
            page = self._json("GET", path, f"the tasks of the run {run_id} of {dag_id}", params=params)
            found += [parse_task_instance(entry) for entry in page["task_instances"]]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def recent_successes(self, dag_id: str) -> list[TaskInstance]:
        """Up to 100 task instances of any run of the DAG that ended well, the newest first."""
        path = f"/dags/{dag_id}/dagRuns/~/taskInstances"
        params = {"state": "success", "order_by": "-start_date", "limit": PAGE}
        answer = self._json("GET", path, f"earlier runs of {dag_id}", params=params)
        return [parse_task_instance(entry) for entry in answer["task_instances"]]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = UNMAPPED) -> Any:
        """What a task has handed on, as JSON."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._json("GET", path, f"the {key} of {task_id}", params={"map_index": map_index})["value"]

    def log_tail(self, dag_id: str, run_id: str, task: TaskInstance, lines: int = 20) -> list[str]:
        """The last lines of the log of the task's latest try."""
        path = f"{API}/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        asked = f"the log of {task.title}"
        said = (line for entry in self._lines(path, asked, map_index=task.map_index) for line in parse_log_entry(entry))
        return list(deque(said, maxlen=lines))

    def _lines(self, path: str, asked: str, **params: float) -> Iterator[Mapping[str, Any]]:
        """The JSON objects of an answer of lines, as they come."""
        headers = {"Accept": "application/x-ndjson"}
        with _as_unreachable(self.url), self._http.stream("GET", path, params=params, headers=headers) as response:
            if response.is_error:
                response.read()
                raise refusal(response, asked)
            yield from (json.loads(text) for text in response.iter_lines() if text.strip())

    def _json(self, method: str, path: str, asked: str, **options: Any) -> Any:
        return self._send(method, path, asked, **options).json()

    def _send(self, method: str, path: str, asked: str, *, api: str = API, **options: Any) -> httpx.Response:
        with _as_unreachable(self.url):
            response = self._http.request(method, api + path, **options)
        if response.is_error:
            raise refusal(response, asked)
        return response


@contextmanager
def open_client(login: Login, *, elsewhere: bool = False) -> Iterator[AirflowClient]:
    client = AirflowClient(login, elsewhere=elsewhere)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _as_unreachable(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        message = f"Airflow at {url} gives no answer: {type(error).__name__} {error}".rstrip()
        raise AirflowUnreachable(message, hint="see whether it runs: slipway up starts it where it does not") from error


def refusal(response: httpx.Response, asked: str) -> SlipwayError:
    """The error that an answer of 400 or above stands for; ``asked`` says in words what was asked."""
    status = response.status_code
    message = f"Airflow refuses {asked}: HTTP {status} {_detail(response)}".rstrip()
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return AirflowUnreachable(message, hint="look at the log of its api-server")
    if status == httpx.codes.CONFLICT:
        return RunExists(status, message, hint="it exists already: follow that one, or choose another run id")
    return AirflowRefused(status, message, hint=HINTS.get(status, "look at the log of its api-server"))


HINTS = {
    400: "correct the named parameter",
    401: "see user, password or token; the password file of an embedded Airflow is read when it starts",
    403: "the user may not do this: log in as one with a higher role",
    404: "check the name; a DAG shows a while after its file, and not at all where the file cannot be imported",
    422: "correct the named parameter",
}


def _detail(response: httpx.Response) -> str:
    try:
        detail = response.json().get("detail", "")
    except (ValueError, AttributeError):
        return response.text[:300].strip()
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, entry.get('loc', ())))}: {entry.get('msg')}" for entry in detail)
    return str(detail.get("reason", detail)) if isinstance(detail, dict) else str(detail)
