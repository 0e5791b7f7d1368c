"""What is asked of this machine's agent, and in which order; a command that the stand-in does not know is an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from slipway.embedded import airflow
from slipway.embedded.airflow import PARTS, down, open_lock, require_alive, roles, up
from slipway.embedded.answers import Health
from slipway.embedded.settings import Settings
from slipway.errors import HostUnfit, NotConverged, ServerDied, SlipwayError
from slipway.shell import Command, Result

WELL = Health({"scheduler": "healthy"})


class Machine:
    """Keeps roles as the agent would, and what was asked: ``done`` lists each change by verb and role."""

    name = "local"

    def __init__(self) -> None:
        self.roles: dict[str, dict[str, Any]] = {}
        self.done: list[str] = []
        self.taken: dict[str, Any] | None = None
        self.dies = ""
        self.survives = ""

    def state(self, digest: str = "", *, alive: bool = True, orphans: tuple[int, ...] = ()) -> dict[str, Any]:
        return {"alive": alive, "state": "ready" if alive else "failed", "digest": digest, "orphans": orphans}

    def run(self, command: Command) -> Result:
        if command.argv[0] == "test":
            return self.result(command)
        if command.argv[1:] == ("-m", "airflow", "db", "migrate"):
            assert (Path(command.env["AIRFLOW_HOME"]) / "airflow.cfg").exists()
            self.done.append("migrate")
            return self.result(command)
        program, verb = command.argv[2:4]
        answer = getattr(self, f"{program}_{verb}")(json.loads(command.stdin))
        return self.result(command, json.dumps(answer))

    def result(self, command: Command, stdout: str = "") -> Result:
        return Result(self.name, command, 0, stdout, "", 0.0)

    def agent_list(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"roles": [{"role": name, **state} for name, state in self.roles.items()]}

    def agent_start(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["role"]
        self.done.append(f"start {name}")
        self.roles[name] = self.state(request["digest"], alive=name != self.dies)
        return self.roles[name]

    def agent_stop(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["role"]
        self.done.append(f"stop {name}")
        self.roles[name] = self.state(alive=False, orphans=(7,) if name == self.survives else ())
        return {"stopped": True}

    def agent_log(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"text": "starting\nImportError: no such thing\n", "offset": 0}

    def probe_ports(self, request: dict[str, Any]) -> dict[str, Any]:
        return {
            "ports": [
                {"port": entry["port"], "free": not self.taken, "owner": self.taken} for entry in request["ports"]
            ]
        }


class Client:
    def health(self) -> Health:
        return WELL


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()

    @contextmanager
    def open_client(login: object) -> Iterator[Client]:
        yield Client()

    monkeypatch.setattr(airflow, "LocalHost", lambda: machine)
    monkeypatch.setattr(airflow, "open_client", open_client)
    return machine


def silent(line: str) -> None:
    pass


def test_a_first_start_migrates_and_then_starts_every_part(here: Machine, settings: Settings) -> None:
    login = up(settings, silent)
    assert here.done[0] == "migrate"
    assert set(here.done[1:]) == {f"start {name}" for name in PARTS}
    assert (login.url, login.user) == (settings.url, "admin")


def test_where_all_run_as_wanted_nothing_is_done(here: Machine, settings: Settings) -> None:
    here.roles = {name: here.state(role.digest()) for name, role in roles(settings).items()}
    up(settings, silent)
    assert here.done == []


def test_a_part_that_is_missing_is_started_alone(here: Machine, settings: Settings) -> None:
    here.roles = {name: here.state(role.digest()) for name, role in roles(settings).items()}
    del here.roles["airflow.triggerer"]
    here.taken = {"pid": 1}
    up(settings, silent)
    assert here.done == ["migrate", "start airflow.triggerer"]


def test_parts_with_other_settings_are_stopped_before_anything_starts(here: Machine, settings: Settings) -> None:
    here.roles = {name: here.state("older") for name in PARTS}
    up(settings, silent)
    assert set(here.done[:4]) == {f"stop {name}" for name in PARTS}
    assert here.done[3] == "stop airflow.api-server"
    assert here.done[4] == "migrate"


def test_a_taken_port_is_refused_before_anything_changes(here: Machine, settings: Settings) -> None:
    here.taken = {"pid": 4711, "user": "ada", "command": "nginx: master"}
    with pytest.raises(HostUnfit, match=r"port 8080 .* nginx: master \(pid 4711, user ada\)\n.*SLIPWAY_AIRFLOW_PORT"):
        up(settings, silent)
    assert here.done == []


def test_a_part_that_dies_is_named_with_its_last_lines(here: Machine, settings: Settings) -> None:
    here.dies = "airflow.scheduler"
    with pytest.raises(ServerDied, match=r"airflow\.scheduler: failed\nstarting\nImportError: no such thing"):
        up(settings, silent)


def test_the_api_server_is_stopped_last_and_the_port_looked_at(here: Machine, settings: Settings) -> None:
    here.roles = {name: here.state() for name in PARTS}
    said: list[str] = []
    down(settings, said.append)
    assert here.done[-1] == "stop airflow.api-server"
    assert sorted(here.done) == sorted(f"stop {name}" for name in PARTS)
    assert said[-1] == "port 8080 is free"


def test_a_part_that_its_agent_has_given_up_is_named(
    here: Machine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(airflow.time, "sleep", pauses.append)
    here.roles = {name: here.state() for name in PARTS}
    require_alive(settings)
    here.roles["airflow.scheduler"] = here.state(alive=False)
    with pytest.raises(ServerDied, match=r"(?s)airflow\.scheduler.*ImportError: no such thing"):
        require_alive(settings)
    assert pauses == [airflow.STARTED_ANEW_S]
    monkeypatch.setattr(airflow.time, "sleep", lambda _: here.roles.update({"airflow.scheduler": here.state()}))
    require_alive(settings)


def test_a_stop_looks_at_the_port_of_the_last_start(here: Machine, settings: Settings) -> None:
    up(Settings(settings.project, port=18080), silent)
    said: list[str] = []
    down(settings, said.append)
    assert said[-1] == "port 18080 is free"


def test_where_nothing_runs_nothing_is_stopped(here: Machine, settings: Settings) -> None:
    here.roles = {name: here.state(alive=False) for name in PARTS}
    here.taken = {"pid": 4711, "user": "ada", "command": "nginx"}
    said: list[str] = []
    down(settings, said.append)
    assert here.done == []
    assert said[-1] == "port 8080 is taken by nginx (pid 4711, user ada), not by us"


def test_what_is_left_after_a_stop_is_an_error(here: Machine, settings: Settings) -> None:
    here.roles = {"airflow.scheduler": here.state()}
    here.survives = "airflow.scheduler"
    with pytest.raises(NotConverged, match=r"airflow\.scheduler is failed"):
        down(settings, silent)


def test_processes_of_a_dead_agent_are_stopped_too(here: Machine, settings: Settings) -> None:
    here.roles = {"airflow.scheduler": here.state(alive=False, orphans=(7,))}
    down(settings, silent)
    assert here.done == ["stop airflow.scheduler"]


def test_two_starts_at_once_are_refused(here: Machine, settings: Settings) -> None:
    with open_lock(settings), pytest.raises(SlipwayError, match="another start or stop"):
        up(settings, silent)
    assert here.done == []
