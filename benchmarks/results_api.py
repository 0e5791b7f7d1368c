"""How long each answer of the results API takes with 10,000 runs and 100,000 cells in the store.

    .slipway/venv/bin/python benchmarks/results_api.py [--runs 10000] [--asked 100] [--postgres]

CPU is what this process needs for an answer; the rest of the time it waits, for the database or for other work on the
machine. Each route is asked in process, without Airflow's look at the login. ``--postgres`` starts a PostgreSQL of its
own, as the tests do; without it the store is a SQLite file.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

ROOT = Path(__file__).parents[1]
LEVELS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
DEPLOYMENTS = 10
REVISIONS = 40
"""Of each deployment."""
METRICS = ("ttft", "itl", "tpot", "e2e")
LATENCIES = tuple(
    f"{metric}_{each}" for metric in METRICS for each in ("mean", "min", "p50", "p90", "p95", "p99", "max")
)
NOISE = random.Random(8)
SNAPSHOT = {
    "versions": {"python": "3.11.7", "vllm": "0.32.0", "ray": "2.60.0", "torch": "2.13.0", "driver": "580.159.04"},
    "hosts": {"node-1": {f"fact-{number}": "as preflight found it" for number in range(150)}},
}
"""Some 6 kB, as a run leaves it."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--asked", type=int, default=100)
    parser.add_argument("--postgres", action="store_true")
    arguments = parser.parse_args()
    with database(arguments.postgres) as url:
        fill(url, arguments.runs)
        measure(url, arguments.runs, arguments.asked)


@contextmanager
def database(postgres: bool) -> Iterator[str]:
    """The URL of a migrated, empty store."""
    from slipway.store import schema

    if not postgres:
        with tempfile.TemporaryDirectory() as folder:
            schema.upgrade(f"sqlite:///{folder}/slipway.db")
            yield f"sqlite:///{folder}/slipway.db"
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from integration.store.conftest import open_cluster

    with open_cluster() as cluster:
        cluster.sql("CREATE DATABASE results")
        schema.upgrade(cluster.url("results"))
        yield cluster.url("results")


def fill(url: str, runs: int) -> None:
    """Ten cells a run, the runs spread over the deployments; revisions by the store, the rest in bulk."""
    from slipway.spec import load_deployment
    from slipway.store import open_store
    from slipway.store.engine import open_engine
    from slipway.store.models import CellRow, RunRow, StageRow

    demo = load_deployment(ROOT / "include" / "deployments" / "demo.yaml")
    names = [f"deployment-{number}" for number in range(DEPLOYMENTS)]
    with open_store(url) as store:
        asked = [{"name": name, "description": str(number)} for name in names for number in range(REVISIONS)]
        specs = [demo.model_copy(update=each) for each in asked]
        ids = {(spec.name, int(spec.description)): store.save_revision(spec) for spec in specs}
    rows = [run_row(number, runs, names, ids) for number in range(1, runs + 1)]
    with open_engine(url) as engine, engine.begin() as connection:
        for start in range(0, runs, 1000):
            part = rows[start : start + 1000]
            connection.execute(insert(RunRow), part)
            connection.execute(insert(StageRow.__table__), [stage_row(row) for row in part])
            connection.execute(insert(CellRow.__table__), [cell_row(row, users) for row in part for users in LEVELS])
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    with open_store(url) as store:
        for row in rows[-DEPLOYMENTS:]:
            store.set_current(row["id"], row["revision_id"], "http://10.0.0.1:8000")


def run_row(number: int, runs: int, names: list[str], ids: dict[tuple[str, int], str]) -> dict[str, Any]:
    name = names[number % DEPLOYMENTS]
    return {
        "id": number, "deployment": name, "revision_id": ids[name, number * REVISIONS // (runs + 1)],
        "job": "benchmark", "dag_id": f"{name}.benchmark", "dag_run_id": f"night-{number}", "state": "success",
        "reason": "nightly", "conf": {},
        "started_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=40 * number), "ended_at": None,
        "snapshot": SNAPSHOT, "verdict": "same", "verdict_reason": "within 5 %", "rehearsal": True,
    }  # fmt: skip


def stage_row(run: dict[str, Any]) -> dict[str, Any]:
    return {
        "run_id": run["id"], "name": "ready", "map_index": -1, "try_number": 1, "state": "success",
        "started_at": run["started_at"], "ended_at": run["started_at"], "seconds": 40.0, "actions": 0,
        "detail": {"time_to_ready_s": 40.0}, "error": "",
    }  # fmt: skip


def cell_row(run: dict[str, Any], users: int) -> dict[str, Any]:
    rate = 100.0 * users / (users + 20) * NOISE.gauss(1, 0.01)
    latencies = {name: 0.25 * NOISE.gauss(1, 0.03) for name in LATENCIES} | {f"{each}_count": 640 for each in METRICS}
    return {
        "run_id": run["id"], "deployment": run["deployment"], "revision_id": run["revision_id"], "users": users,
        "spawn_rate": 1.0, "processes": 1, "started_at": run["started_at"], "window_s": 60.0, "requests": 640,
        "errors": {}, "prompt_tokens": 20_480, "output_tokens": 20_480, "requests_per_s": 3.5,
        "output_tokens_per_s": rate, **latencies, "validity": "valid", "reasons": [],
        "client": {"cpu_share": 0.1}, "server": {"generation_tokens": 20_480.0}, "artifacts": "/rows", "try_number": 1,
    }  # fmt: skip


def measure(url: str, runs: int, asked: int) -> None:
    """Every route ``asked`` times, after one time that is not counted."""
    os.environ["AIRFLOW__SLIPWAY__STORE_URL"] = url
    from fastapi.testclient import TestClient

    from slipway.store import open_store
    from slipway.ui.api import _sight, app

    class All:
        def has(self, _deployment: str) -> bool:
            return True

        def require(self, _deployment: str) -> None:
            return

    app.dependency_overrides[_sight] = All
    app.dependency_overrides[app.router.dependencies[0].dependency] = lambda: None  # type: ignore[index]
    with open_store(url) as store:
        (newest,) = store.runs("deployment-0", 1)
        print(f"{url.split(':', maxsplit=1)[0]}: {runs} runs, {runs * len(LEVELS)} cells, {DEPLOYMENTS} deployments")
    print(f"{'route':<58}{'kB':>8}{'CPU ms':>9}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}")
    with TestClient(app) as client:
        for path in paths(asdict(newest)):
            ask(client, path, asked)


def ask(client: TestClient, path: str, asked: int) -> None:
    """One route, and its line of the table."""
    client.get(path)
    times, size, cpu = [], 0, time.process_time()
    for _ in range(asked):
        began = time.perf_counter()
        answer = client.get(path)
        times.append(1000 * (time.perf_counter() - began))
        size = len(answer.content)
        assert answer.status_code == 200, answer.text
    cpu_ms = 1000 * (time.process_time() - cpu) / asked
    figures = (cpu_ms, statistics.median(times), statistics.quantiles(times, n=20)[-1], max(times))
    print(f"{path:<58}{size / 1000:>8.1f}" + "".join(f"{figure:>9.1f}" for figure in figures), flush=True)


def paths(run: dict[str, Any]) -> list[str]:
    of = "/api/deployments/deployment-0"
    return [
        "/api/overview",
        "/api/deployments",
        f"{of}/runs",
        f"{of}/trends",
        f"{of}/trends?limit=200",
        f"{of}/revisions",
        f"{of}/revisions/{run['revision_id']}/points",
        f"/api/dag-run?dag_id={run['dag_id']}&dag_run_id={run['dag_run_id']}",
        f"/api/runs/{run['id']}",
        "/api/compare?" + "&".join(f"run={run['id'] - DEPLOYMENTS * each}" for each in range(6)),
    ]


if __name__ == "__main__":
    main()
