"""A real Airflow of Slipway's own, in a folder of this test, with a DAG of this test."""

from __future__ import annotations

import io
import os
import signal
import socket
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from slipway.embedded import (
    AirflowClient,
    Outcome,
    Settings,
    dags,
    down,
    follow,
    open_client,
    ready_dag,
    sources_changed_at,
    up,
)
from slipway.embedded.airflow import PARTS, agents
from slipway.errors import AirflowRefused, HostUnfit, NotReady, RunExists
from slipway.hosts import LocalHost

pytestmark = pytest.mark.timeout(180)

TOY = """
    import time
    from datetime import timedelta

    from airflow.sdk import Param, dag, task


    @dag(
        schedule=None,
        params={
            "seconds": Param(0, type="integer"),
            "flaky": Param(False, type="boolean"),
            "broken": Param(False, type="boolean"),
        },
    )
    def toy():
        @task(retries=1, retry_delay=timedelta(seconds=1))
        def first(ti=None, params=None):
            if params["flaky"] and ti.try_number == 1:
                raise ValueError("the first try fails")

        @task(max_active_tis_per_dagrun=1)
        def level(users, params=None):
            time.sleep(params["seconds"])
            return {"users": users}

        @task
        def last(params=None):
            print("about to end")
            if params["broken"]:
                raise RuntimeError("the end is broken")

        first() >> level.expand(users=[1, 4]) >> last()


    toy()
"""


@dataclass
class Airflow:
    """The settings, what the start said, and a client."""

    settings: Settings
    said: list[str]
    client: AirflowClient

    def sessions(self) -> dict[str, int | None]:
        states = agents(LocalHost(), str(self.settings.state))
        return {name: state.session for name, state in states.items() if state.alive}

    def write(self, name: str, text: str) -> None:
        (self.settings.dags / name).write_text(textwrap.dedent(text))

    def ready(self, dag_id: str = "toy") -> None:
        ready_dag(self.client, dag_id, sources_changed_at(self.settings))

    def watch(self, run_id: str, **conf: object) -> tuple[Outcome, str]:
        self.ready()
        self.client.trigger("toy", run_id, conf)
        console = Console(file=io.StringIO(), width=60)
        outcome = follow(self.client, "toy", run_id, console=console, limit_s=90)
        return outcome, console.file.getvalue()  # type: ignore[attr-defined]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def astray() -> Iterator[None]:
    """A shell whose variables lead elsewhere: a proxy that is not there, another Airflow's database."""
    nowhere = f"127.0.0.1:{free_port()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("http_proxy", f"http://{nowhere}")
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"postgresql://{nowhere}/production")
        yield


@pytest.fixture(scope="module")
def airflow(astray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    project = tmp_path_factory.mktemp("project")
    (project / "dags").mkdir()
    (project / "dags" / "toy.py").write_text(textwrap.dedent(TOY))
    settings = Settings(project, port=free_port())
    said: list[str] = []
    try:
        login = up(settings, said.append)
        with open_client(login) as client:
            yield Airflow(settings, said, client)
    finally:
        down(settings, said.append)


def processes_of(airflow: Airflow) -> list[psutil.Process]:
    sessions = set(airflow.sessions().values())
    return [process for process in psutil.process_iter() if os.getsid(process.pid) in sessions]


def test_every_part_runs_in_a_session_of_its_own_and_one_port_is_open_to_this_machine(airflow: Airflow) -> None:
    assert set(airflow.sessions()) == set(PARTS)
    assert len(set(airflow.sessions().values())) == len(PARTS)
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in processes_of(airflow)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", airflow.settings.port)}


def test_a_second_start_does_nothing(airflow: Airflow) -> None:
    before, said = airflow.sessions(), []
    up(airflow.settings, said.append)
    assert said == [f"Airflow runs already: {airflow.settings.url}"]
    assert airflow.sessions() == before


def test_a_run_is_followed_through_a_retry_and_mapped_parts_to_its_end(airflow: Airflow) -> None:
    outcome, text = airflow.watch("good", flaky=True)
    assert outcome.ok, text
    steps = [line.partition("] ")[2].partition(" after")[0] for line in text.splitlines() if line.startswith("[")]
    assert [step for step in steps if "running" not in step] == [
        "first: up for retry",
        "first: success",
        "level [0]: success",
        "level [1]: success",
        "last: success",
    ]
    assert airflow.client.xcom("toy", "good", "level", map_index=1) == {"users": 4}
    instances = airflow.client.task_instances("toy", "good")
    assert {(task.title, task.try_number) for task in instances} == {
        ("first", 2),
        ("level [0]", 1),
        ("level [1]", 1),
        ("last", 1),
    }


def test_a_failed_run_ends_with_the_last_lines_of_the_log(airflow: Airflow) -> None:
    outcome, text = airflow.watch("bad", broken=True)
    assert [task.task_id for task in outcome.failed] == ["last"]
    assert "about to end\n" in text
    assert f"RuntimeError: the end is broken  ({airflow.settings.dags}/toy.py:" in text
    assert f"{airflow.settings.url}/dags/toy/runs/bad/tasks/last" in text


def test_what_airflow_refuses_is_an_error_of_its_own(airflow: Airflow) -> None:
    airflow.ready()
    airflow.client.trigger("toy", "once", {})
    with pytest.raises(RunExists, match="409"):
        airflow.client.trigger("toy", "once", {})
    with pytest.raises(AirflowRefused, match=r"400 .*seconds"):
        airflow.client.trigger("toy", "wrong", {"seconds": "many"})
    with pytest.raises(AirflowRefused, match="404"):
        airflow.client.dag("nobody")


def test_the_api_server_is_started_again_while_a_run_goes_on(airflow: Airflow) -> None:
    server = psutil.Process(airflow.sessions()["airflow.api-server"])
    killed = threading.Timer(4.0, server.send_signal, [signal.SIGKILL])
    killed.start()
    outcome, text = airflow.watch("through", seconds=4)
    killed.join()
    assert not server.is_running()
    assert outcome.ok, text
    assert [task.try_number for task in airflow.client.task_instances("toy", "through") if task.task_id == "level"] == [
        1,
        1,
    ]


def test_a_changed_file_is_parsed_again_and_its_dag_takes_runs(airflow: Airflow) -> None:
    airflow.ready()
    time.sleep(0.01)
    airflow.write("toy.py", TOY.replace("def last(", "def report(").replace(">> last()", ">> report()"))
    try:
        airflow.client._json("PATCH", "/dags/toy", "to pause toy", json={"is_paused": True})
        airflow.ready()
        assert "report" in {task.task_id for task in airflow.client.tasks("toy")}
        assert not airflow.client.dag("toy").paused
    finally:
        airflow.write("toy.py", TOY)


def test_a_file_that_cannot_be_imported_is_named(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dags, "SETTLED_S", 0.0)
    airflow.ready()
    airflow.write("toy.py", f"import slipwy\n{textwrap.dedent(TOY)}")
    try:
        with pytest.raises(NotReady, match=r"toy\.py: ModuleNotFoundError: No module named 'slipwy'"):
            airflow.ready()
    finally:
        airflow.write("toy.py", TOY)


def test_after_a_stop_nothing_runs_and_the_next_start_knows_what_was(airflow: Airflow) -> None:
    airflow.ready()
    running, said = processes_of(airflow), []
    down(airflow.settings, said.append)
    assert [process for process in running if process.is_running()] == []
    assert said[-1] == f"port {airflow.settings.port} is free"
    assert airflow.sessions() == {}
    assert up(airflow.settings, said.append) == airflow.settings.login()
    assert airflow.client.dag("toy").dag_id == "toy"


def test_a_taken_port_is_refused_with_its_owner_and_its_setting_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        settings = Settings(tmp_path, port=stranger.getsockname()[1])
        with pytest.raises(HostUnfit) as caught:
            up(settings, print)
    message = str(caught.value)
    assert f"port {settings.port} for Airflow's UI and API is taken by" in message
    assert f"pid {os.getpid()}" in message
    assert "SLIPWAY_AIRFLOW_PORT" in message
    assert agents(LocalHost(), str(settings.state)) == {}
    assert not (settings.home / "airflow.db").exists()
