"""Each check of an installation tells a fault from what is whole, and says what would mend it."""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from slipway.hooks import installation
from slipway.hooks.installation import PARTS
from slipway.results.preflight import State
from slipway.spec import load_deployment
from slipway.store import schema

ROOT = Path(__file__).parents[3]


def test_what_is_installed_here_is_what_slipway_asks_for() -> None:
    found = installation.packages()
    assert found.state is State.OK, found


def test_a_package_of_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    versions = {"apache-airflow": "2.11.0", "locust": None}
    monkeypatch.setattr(installation, "_version", lambda name: versions[name] if name in versions else real(name))
    found = installation.packages()
    assert found.state is State.FAIL
    assert "apache-airflow 2.11.0 (wanted: <3.4,>=3.3)" in found.found
    assert "locust missing" in found.found


class TestTheResultsDatabase:
    @pytest.fixture(autouse=True)
    def _url(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = f"sqlite:///{tmp_path / 'slipway.db'}"
        monkeypatch.setenv("AIRFLOW__SLIPWAY__STORE_URL", self.url)

    def test_without_tables(self) -> None:
        found = installation.results_database()
        assert (found.state, found.next_step) == (State.FAIL, "run `airflow db migrate`")

    def test_migrated(self) -> None:
        schema.upgrade(self.url)
        assert installation.results_database().state is State.OK

    def test_of_an_older_slipway(self) -> None:
        schema.upgrade(self.url, "0001")
        assert "of schema 0001, not" in installation.results_database().found

    def test_a_file_that_other_machines_do_not_see(self, monkeypatch: pytest.MonkeyPatch) -> None:
        schema.upgrade(self.url)
        monkeypatch.setattr(installation, "_executor", lambda: "CeleryExecutor")
        found = installation.results_database()
        assert (found.state, "PostgreSQL" in found.next_step) == (State.FAIL, True)

    def test_that_is_not_reached(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__SLIPWAY__STORE_URL", "postgresql+psycopg://a:secret@127.0.0.1:1/b")
        found = installation.results_database()
        assert (found.state, "secret" in found.found) == (State.FAIL, False)


@pytest.mark.parametrize(
    ("folder", "file", "state"), [(0o755, 0o644, "warn"), (0o755, 0o640, "ok"), (0o700, 0o644, "ok")]
)
def test_who_may_read_the_files(folder: int, file: int, state: str) -> None:
    with tempfile.TemporaryDirectory() as outer:  # pytest closes its own folder to others
        Path(outer).chmod(0o755)
        home = Path(outer) / "home"
        home.mkdir()
        (home / "airflow.cfg").touch()
        (home / "airflow.cfg").chmod(file)
        home.chmod(folder)
        assert str(installation.modes([home / "airflow.cfg"]).state) == state


def test_a_dag_folder_of_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    assert "lacks preflight.py" in installation.dag_folder().found
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "dags"))
    assert installation.dag_folder().state is State.OK


def test_without_a_key_connections_would_be_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    assert installation.fernet_key().state is State.FAIL
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "k" * 44)
    assert installation.fernet_key().state is State.OK


def test_each_connection_of_a_host_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load_deployment(ROOT / "docs" / "examples" / "two-hosts.yaml")
    assert installation.connections_of([spec]) == ["slipway_h1", "slipway_h2"]
    extra = {"host_key": "ssh-ed25519 AAAA"}
    monkeypatch.setenv("AIRFLOW_CONN_SLIPWAY_H1", json.dumps({"conn_type": "ssh", "host": "h1", "extra": extra}))
    monkeypatch.setenv("AIRFLOW_CONN_SLIPWAY_H2", json.dumps({"conn_type": "ssh", "host": "h2"}))
    assert installation.connection("slipway_h1").state is State.OK
    assert installation.connection("slipway_h2").state is State.WARN


def test_files_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(tmp_path))
    assert installation._deployments()[1].state is State.WARN
    (tmp_path / "wrong.yaml").write_text("version: 1\n")
    specs, found = installation._deployments()
    assert (specs, found.state, "wrong.yaml" in found.found) == ([], State.FAIL, True)


@pytest.mark.parametrize(("is_alive", "state"), [(True, State.OK), (False, State.FAIL), (None, State.FAIL)])
def test_a_part_whose_heart_stands_still(monkeypatch: pytest.MonkeyPatch, is_alive: bool | None, state: State) -> None:
    last = SimpleNamespace(is_alive=lambda: is_alive, hostname="h", latest_heartbeat=datetime(2026, 1, 1, tzinfo=UTC))
    monkeypatch.setattr("airflow.jobs.job.most_recent_job", lambda job, session: None if is_alive is None else last)
    for name, job in PARTS.items():
        found = installation.alive(name, job)
        assert found.state is state
        assert state is State.OK or f"airflow {name}" in found.next_step


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (None, State.FAIL),
        (SimpleNamespace(slots=2, include_deferred=True), State.OK),
        (SimpleNamespace(slots=2, include_deferred=False), State.WARN),
    ],
)
def test_a_pool_that_bounds_what_it_should(monkeypatch: pytest.MonkeyPatch, found: object, state: State) -> None:
    monkeypatch.setattr("airflow.models.pool.Pool.get_pool", lambda name: found)
    assert installation.pool("gpus").state is state
