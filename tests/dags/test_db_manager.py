"""Airflow's own commands make, check and keep the store. Slipway must be installed: Airflow finds it by entry point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slipway.store import RunStart, open_store, schema
from slipway.store.engine import open_engine
from slipway.store.models import Base

SCRIPT = """
import json, sys
from slipway.hooks import settings
from slipway.hooks.database import SlipwayDBManager
from slipway.store import schema

at_head = SlipwayDBManager(None).check_migration()
schema.downgrade(settings.store_url(), "base")
behind = SlipwayDBManager(None).check_migration()
schema.upgrade(settings.store_url())
folders = [str(settings.deployments_folder()), str(settings.artifacts_folder())]
json.dump({"store_url": settings.store_url(), "folders": folders, "at_head": at_head, "behind": behind}, sys.stdout)
"""


@dataclass(frozen=True)
class Airflow:
    """Airflow in a home of its own."""

    home: Path

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.home / 'slipway.db'}"

    def run(self, *arguments: str, **settings: str) -> str:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        environment = {**inherited, "AIRFLOW_HOME": str(self.home), **settings}
        command = [sys.executable, *arguments]
        ended = subprocess.run(
            command, env=environment, cwd=self.home, capture_output=True, text=True, timeout=180, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def script(self, **settings: str) -> dict[str, Any]:
        *_logs, last = self.run("-c", SCRIPT, **settings).splitlines()
        found: dict[str, Any] = json.loads(last)
        return found


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    airflow = Airflow(tmp_path_factory.mktemp("airflow"))
    airflow.run("-m", "airflow", "db", "migrate")
    return airflow


def test_migrate_makes_the_store_beside_airflows_database(airflow: Airflow) -> None:
    with open_engine(airflow.store_url) as engine:
        assert schema.current(engine) == schema.head()
    with open_engine(f"sqlite:///{airflow.home / 'airflow.db'}") as engine, engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
    assert "dag_run" in found
    assert not {*Base.metadata.tables, schema.VERSION_TABLE} & set(found)


def test_reset_keeps_the_history(airflow: Airflow) -> None:
    with open_store(airflow.store_url) as store:
        run = store.begin_run(RunStart("demo", "teardown", "demo.teardown", "r1"))
        airflow.run("-m", "airflow", "db", "reset", "--yes")
        assert store.run_by_id(run).dag_run_id == "r1"


def test_a_store_that_is_behind_is_seen_and_by_default_lies_in_the_home(airflow: Airflow) -> None:
    assert airflow.script() == {
        "store_url": airflow.store_url,
        "folders": [str(Path(schema.__file__).parents[2] / "deployments"), str(airflow.home / "slipway-artifacts")],
        "at_head": True,
        "behind": False,
    }


def test_the_options_and_a_url_from_a_command_are_followed(airflow: Airflow, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'own.db'}"
    schema.upgrade(url)
    found = airflow.script(
        AIRFLOW__SLIPWAY__STORE_URL_CMD=f"echo {url}",
        AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER="~/deployments",
        AIRFLOW__SLIPWAY__ARTIFACTS_FOLDER="/srv/artifacts",
        HOME=str(tmp_path),
    )
    assert (found["store_url"], found["folders"]) == (url, [str(tmp_path / "deployments"), "/srv/artifacts"])
    assert (found["at_head"], found["behind"]) == (True, False)
