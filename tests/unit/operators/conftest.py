"""A results store of the test's own, and a task's context as far as the operators use it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slipway.store import Store, open_store, schema


@dataclass
class TaskInstance:
    """Strict: it has what the operators may ask for, and no more."""

    xcoms: dict[str, Any] = field(default_factory=dict)
    try_number: int = 1
    max_tries: int = 2
    map_index: int | None = -1

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        assert task_ids == "resolve"
        return self.xcoms[key]


@dataclass(frozen=True)
class DagRun:
    dag_id: str
    run_id: str
    conf: dict[str, Any] | None
    run_type: str = "manual"


def context(
    job: str = "deploy", conf: dict[str, Any] | None = None, run_id: str = "r1", run_type: str = "manual"
) -> dict[str, Any]:
    return {"ti": TaskInstance(), "dag_run": DagRun(f"demo.{job}", run_id, conf, run_type)}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/slipway.db"
    schema.upgrade(url)
    monkeypatch.setenv("AIRFLOW__SLIPWAY__STORE_URL", url)
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def make_context():
    return context


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    def until(true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not true():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)

    return until
