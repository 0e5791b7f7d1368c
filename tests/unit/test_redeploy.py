"""``slipway redeploy`` against a strict stand-in for Airflow's client."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from slipway.cli import main, redeploy
from slipway.cli.redeploy import parse_conf
from slipway.embedded.answers import Dag
from slipway.errors import AirflowRefused, RunExists, SpecError


@dataclass
class Airflow:
    state: str = "success"
    recorded_run: dict[str, Any] | None = None
    paused: bool = False
    taken: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    login: Any = None

    def dag(self, dag_id: str) -> Dag:
        return Dag(dag_id, self.paused, False, None, "")

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        if run_id in self.taken:
            raise RunExists(409, "it is there")
        self.taken.add(run_id)
        self.asked.append((dag_id, run_id, conf))

    def wait(self, dag_id: str, run_id: str) -> str:
        assert run_id in self.taken
        return self.state

    def recorded(self, dag_id: str, run_id: str) -> dict[str, Any]:
        if self.recorded_run is None:
            raise AirflowRefused(404, "no such run")
        return self.recorded_run


@pytest.fixture
def airflow(monkeypatch):
    speaker = Airflow()

    @contextmanager
    def open_client(login, *, elsewhere):
        assert elsewhere
        speaker.login = login
        yield speaker

    monkeypatch.setattr(redeploy, "open_client", open_client)
    for name, value in (("URL", "http://airflow.test/"), ("USER", "ci"), ("PASSWORD", "sesame")):
        monkeypatch.setenv(f"SLIPWAY_AIRFLOW_{name}", value)
    monkeypatch.delenv("SLIPWAY_AIRFLOW_TOKEN", raising=False)
    return speaker


def judged(verdict):
    return {"id": 7, "verdict": verdict, "verdict_reason": "why"}


@pytest.mark.parametrize(
    ("state", "verdict", "code"),
    [
        ("success", "better", 0),
        ("success", "same", 0),
        ("success", "worse", 3),
        ("success", "not enough history", 4),
        ("success", "not comparable", 4),
        ("success", "invalid", 5),
        ("success", None, 1),
        ("failed", "worse", 3),
        ("failed", "same", 1),
        ("failed", None, 1),
    ],
)
def test_it_exits_by_the_verdict(airflow, capsys, state, verdict, code):
    airflow.state, airflow.recorded_run = state, judged(verdict)
    assert main(["redeploy", "demo", "--wait"]) == code
    said = capsys.readouterr().out
    assert f"{state} (Slipway's run 7)" in said
    assert (f"verdict: {verdict} (why)" in said) is (verdict is not None)


def test_every_verdict_has_an_exit_code():
    from slipway.verdicts.judge import Answer

    assert set(redeploy.EXIT_CODES) == {str(answer) for answer in Answer}


def test_a_run_that_left_nothing_has_failed(airflow):
    airflow.state = "failed"
    assert main(["redeploy", "demo", "--wait"]) == 1


def test_without_wait_it_ends_when_the_run_is_triggered(airflow):
    argv = ["redeploy", "demo", "--set", "serve.args.max-num-seqs=256", "--reason", "try it", "--run-id", "r1"]
    assert main(argv) == 0
    conf = {"serve_args": {"max-num-seqs": 256}, "reason": "try it"}
    assert airflow.asked == [("demo.deploy", "r1", conf)]
    assert (airflow.login.url, airflow.login.user, airflow.login.password) == ("http://airflow.test", "ci", "sesame")


def test_asked_twice_it_is_run_once(airflow, capsys):
    airflow.recorded_run = judged("same")
    argv = ["redeploy", "demo", "--run-id", "r1", "--wait"]
    assert [main(argv), main(argv)] == [0, 0]
    assert len(airflow.asked) == 1
    assert "nothing new was started" in capsys.readouterr().out


def test_a_paused_dag_is_refused(airflow, capsys):
    airflow.paused = True
    assert main(["redeploy", "demo"]) == 1
    assert "demo.deploy is paused" in capsys.readouterr().err
    assert airflow.asked == []


def test_an_option_comes_before_the_environment_and_a_token_needs_no_user(airflow, monkeypatch):
    monkeypatch.delenv("SLIPWAY_AIRFLOW_USER")
    monkeypatch.setenv("SLIPWAY_AIRFLOW_TOKEN", "given")
    assert main(["redeploy", "demo", "--url", "http://other.test"]) == 0
    assert (airflow.login.url, airflow.login.user, airflow.login.token) == ("http://other.test", "", "given")


@pytest.mark.parametrize("name", ["URL", "PASSWORD"])
def test_what_is_not_said_is_named(airflow, monkeypatch, capsys, name):
    monkeypatch.delenv(f"SLIPWAY_AIRFLOW_{name}")
    assert main(["redeploy", "demo"]) == 1
    assert f"SLIPWAY_AIRFLOW_{name}" in capsys.readouterr().err


class TestConf:
    def test_values_are_json_or_text(self):
        settings = ["serve.args.dtype=float16", "serve.args.enforce-eager=true", "benchmark.users=[1, 2]"]
        assert parse_conf([*settings, "benchmark.seconds=30"], "") == {
            "serve_args": {"dtype": "float16", "enforce-eager": True},
            "users": [1, 2],
            "seconds": 30,
        }

    @pytest.mark.parametrize("key", ["serve.port", "benchmark.levels", "seconds", "benchmark.serve_args", "reason"])
    def test_what_a_run_cannot_change_is_refused(self, key):
        with pytest.raises(SpecError, match=rf"--set {key}: a run cannot change it[\s\S]*serve.args.NAME"):
            parse_conf([f"{key}=1"], "")

    def test_a_setting_without_a_value_is_refused(self):
        with pytest.raises(SpecError, match="no value"):
            parse_conf(["serve.args.seed"], "")
