from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from slipway.embedded import dags
from slipway.embedded.answers import Dag, ImportFault
from slipway.embedded.dags import ready_dag, sources_changed_at
from slipway.embedded.settings import Settings
from slipway.errors import AirflowRefused, NotReady

CHANGED = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
BEFORE, AFTER = CHANGED - timedelta(seconds=5), CHANGED + timedelta(seconds=5)


def dag(parsed_at: datetime | None, *, paused: bool = False, stale: bool = False) -> Dag:
    return Dag("toy", paused, stale, parsed_at, "token")


class Airflow:
    """Answers with one DAG after the other, the last for ever; an int is an HTTP status."""

    def __init__(self, *answers: Dag | int, faults: tuple[ImportFault, ...] = ()) -> None:
        self.answers = list(answers)
        self.faults = faults
        self.asked: list[str] = []

    def dag(self, dag_id: str) -> Dag:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            raise AirflowRefused(answer, f"no DAG {dag_id}")
        return answer

    def import_faults(self) -> list[ImportFault]:
        return list(self.faults)

    def reparse(self, dag: Dag) -> None:
        self.asked.append("reparse")

    def unpause(self, dag_id: str) -> None:
        self.asked.append("unpause")


def ready(airflow: Airflow, limit_s: float = 5.0) -> Dag:
    return ready_dag(airflow, "toy", CHANGED, limit_s)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dags, "POLL_S", 0.0)


def test_a_dag_that_is_current_needs_nothing() -> None:
    airflow = Airflow(dag(AFTER))
    assert ready(airflow).parsed_at == AFTER
    assert airflow.asked == []


def test_a_dag_that_is_not_there_yet_is_waited_for() -> None:
    assert ready(Airflow(404, 404, dag(AFTER))).dag_id == "toy"


@pytest.mark.parametrize("old", [dag(BEFORE), dag(None), dag(AFTER, stale=True)], ids=["older", "never", "stale"])
def test_a_dag_of_older_files_is_parsed_again_once(old: Dag) -> None:
    airflow = Airflow(old, old, old, dag(AFTER))
    ready(airflow)
    assert airflow.asked == ["reparse"]


def test_a_paused_dag_is_unpaused() -> None:
    airflow = Airflow(dag(AFTER, paused=True))
    ready(airflow)
    assert airflow.asked == ["unpause"]


def test_a_refusal_other_than_not_found_is_raised() -> None:
    with pytest.raises(AirflowRefused):
        ready(Airflow(403))


def test_the_wait_is_bounded() -> None:
    with pytest.raises(NotReady, match="no DAG toy as its files are now: no file in the DAG folder makes it"):
        ready(Airflow(404), limit_s=0.01)


def test_a_file_that_cannot_be_imported_ends_the_wait_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dags, "SETTLED_S", 0.01)
    trace = "Traceback (most recent call last):\n  File toy.py\nImportError: no module named slipwy\n"
    with pytest.raises(NotReady, match=r"toy\.py: ImportError: no module named slipwy"):
        ready(Airflow(404, faults=(ImportFault("toy.py", trace, AFTER),)), limit_s=60.0)


def test_a_fault_of_older_files_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dags, "SETTLED_S", 0.0)
    airflow = Airflow(404, 404, dag(AFTER), faults=(ImportFault("toy.py", "ImportError: x", BEFORE),))
    assert ready(airflow).dag_id == "toy"


def test_the_newest_of_dag_deployment_and_package_files_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dags, "PACKAGE", tmp_path / "package")
    ages_s = {"dags/deploy.py": 50, "include/deployments/demo.yaml": 40, "package/stages/serve.py": 20, "README.md": 0}
    for name, age_s in ages_s.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time.time() - age_s,) * 2)
    age = datetime.now(UTC) - sources_changed_at(Settings(tmp_path))
    assert 19 < age.total_seconds() < 30


def test_a_file_from_the_future_counts_as_changed_now(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "deploy.py").touch()
    os.utime(tmp_path / "dags" / "deploy.py", (time.time() + 3600,) * 2)
    assert sources_changed_at(Settings(tmp_path)) <= datetime.now(UTC)
