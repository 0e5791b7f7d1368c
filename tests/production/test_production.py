"""The two-host deployment in a team's installation: each process is killed while it runs, PostgreSQL starts anew."""

from __future__ import annotations

import contextlib
import gzip
import json
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from production.shape import LASTING, POSTGRES, Shape, open_shape, wait_for
from testbed.project import changed

from slipway.embedded import ready_dag
from slipway.errors import AirflowUnreachable, StoreError
from slipway.hosts import on_each
from slipway.shell import Command
from slipway.spec import Layout
from slipway.stages import teardown
from slipway.store import Run, State
from slipway.store.backup import backup

pytestmark = pytest.mark.slow
NAME = "pair"
ENDS_WITHIN_S = 600.0
API_KEY = secrets.token_hex(16)
"""The server of the deployment asks for it."""

DEFERRED_S = 14.0
"""By then the task *ready* has handed over to the triggerer."""


@pytest.fixture(scope="module")
def shape(bed, opened, deployment) -> Iterator[Shape]:
    assert shutil.which("redis-server"), "no Redis here: install redis-server"
    assert POSTGRES.is_dir(), "no PostgreSQL 15 here: install postgresql-15"
    with tempfile.TemporaryDirectory(prefix="slipway-production-") as name:
        Path(name).chmod(0o755)  # the user postgres goes through
        try:
            yield from _opened(bed, deployment, Path(name))
        finally:
            with opened() as site:
                teardown.converge(site)


def _opened(bed, deployment, folder: Path) -> Iterator[Shape]:
    guarded = changed(deployment, {"model_name: tiny": "model_name: tiny\n  api_key_connection: pair_key"})
    with open_shape(folder, NAME, guarded) as shape:
        connections = json.loads(bed.connections_file.read_text())
        connections["pair_key"] = {"conn_type": "generic", "password": API_KEY}
        (shape.secrets / "rehearsal_connections.json").write_text(json.dumps(connections))
        shape.part("rehearsal-init").run()
        yield shape
    assert shape.processes() == []


def trigger(shape: Shape, job: str, dag_run_id: str) -> None:
    with shape.client() as client:
        ready_dag(client, f"{NAME}.{job}", datetime.fromtimestamp(0, UTC), limit_s=120)
        client.trigger(f"{NAME}.{job}", dag_run_id, {})


def finished(shape: Shape, job: str, dag_run_id: str, deeds: Mapping[str, Any] | None = None) -> Run:
    """The run at its end. ``deeds`` are done once each, when the stage of that name is under way."""
    trigger(shape, job, dag_run_id)
    todo, deadline = dict(deeds or {}), time.monotonic() + ENDS_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(StoreError, AirflowUnreachable), shape.store() as store:
            run = store.run(f"{NAME}.{job}", dag_run_id)
            for stage in store.stages(run.id) if run else []:
                key = f"{stage.name} {stage.map_index}" if stage.map_index >= 0 else stage.name
                if key in todo and stage.state == State.RUNNING:
                    todo.pop(key)()
            with shape.client() as client:
                if client.run(f"{NAME}.{job}", dag_run_id).ended:
                    assert not todo, f"never under way: {', '.join(todo)}"
                    return store.run(f"{NAME}.{job}", dag_run_id)
        time.sleep(0.5)
    raise AssertionError(f"{job} has not ended within {ENDS_WITHIN_S:.0f} s")


def delays_s(shape: Shape, dag_run_id: str) -> list[float]:
    """From the end of one task to the beginning of the next, by Airflow's own times."""
    with shape.client() as client:
        tasks = client._json("GET", f"/dags/{NAME}.deploy/dagRuns/{dag_run_id}/taskInstances", "the tasks")
    times = [
        tuple(datetime.fromisoformat(task[key]) for key in ("start_date", "end_date"))
        for task in tasks["task_instances"]
        if task["start_date"] and task["end_date"]
    ]
    ends = sorted(end for _start, end in times)
    return [
        min((start - end).total_seconds() for end in before)
        for start, _end in times
        if (before := [end for end in ends if end <= start])
    ]


def served(opened) -> dict[str, str]:
    """What the agents of both hosts know, by role: the process that it is."""
    with opened() as site:
        found = on_each(site.hosts.values(), lambda host: host.run(Command(("ls", f"{site.root}/agents"))))
    return {f"{name} {role}": role for name, result in found.items() for role in result.stdout.split()}


def test_everything_is_healthy_by_the_checks_of_the_file(shape):
    for name in LASTING:
        wait_for(lambda name=name: shape.healthy(name), name)


def test_a_deploy_survives_the_loss_of_every_process(shape):
    parts = shape.parts

    def kill_the_triggerer() -> None:
        time.sleep(DEFERRED_S)
        parts["triggerer"].kill()

    run = finished(
        shape,
        "deploy",
        "killed",
        {
            "preflight": parts["dag-processor"].kill,
            "ray_cluster": parts["api-server"].kill,
            "serve": parts["scheduler"].kill,
            "ready": kill_the_triggerer,
            "benchmark 0": parts["worker"].kill,
            "benchmark 1": lambda: (parts["redis"].kill(), parts["postgres"].restart()),
        },
    )
    assert {name for name, part in parts.items() if part.starts > 1} == set(LASTING)
    assert (run.state, run.verdict in ("not enough history", "invalid")) == ("success", True)
    with shape.store() as store:
        stages = store.stages(run.id)
        assert {cell.measurement.users for cell in store.cells(run.id)} == {1, 2}
        assert len(store.starts(NAME)) == 1
        assert store.leases() == []
    last = {(stage.name, stage.map_index): stage for stage in stages}
    assert {stage.state for stage in last.values()} == {"success"}
    assert {stage.name for stage in stages if stage.state != "success"} == {"benchmark"}, "its worker was killed"
    assert sum(stage.actions > 0 for stage in stages if stage.name == "serve") == 1


def test_between_the_tasks_of_a_deploy_little_time_is_lost(shape):
    run = finished(shape, "deploy", "calm")
    assert run.state == "success"
    delays = delays_s(shape, "calm")
    print(f"delays between tasks, s: {sorted(round(each, 2) for each in delays)}")
    print(f"median {statistics.median(delays):.2f} s, largest {max(delays):.2f} s, {len(delays)} tasks")
    assert statistics.median(delays) < 2


def test_no_secret_is_anywhere_but_in_its_place(shape, opened, tmp_path):
    """Searched for: logs and artifacts, both databases, process lists, what the page is told."""
    with opened() as site:
        token = site.head.run(Command(("cat", Layout(site.root).ray_token(NAME)))).stdout
    held = {path.name: path.read_text() for path in shape.secrets.iterdir() if path.suffix != ".json"}
    held |= {"ray token": token.strip(), "password of admin": shape.login.password, "API key": API_KEY}
    held = {name: text for name, text in held.items() if not name.endswith(("key.pub", "host_key", "user_key"))}
    assert len(held) == 8
    assert all(len(text) >= 16 for text in held.values())
    found = {}
    for place, text in places(shape, tmp_path):
        found |= {f"{name} in {place}": True for name, secret in held.items() if secret in text}
    assert found == {}


def places(shape: Shape, folder: Path) -> Iterator[tuple[str, str]]:
    for path in shape.folder.glob("*.log"):
        yield path.name, path.read_text(errors="replace")
    for path in (shape.folder / "airflow").rglob("*"):
        if path.is_file() and path.name != "passwords.json":
            yield str(path), path.read_bytes().decode(errors="replace")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield str(path), path.read_text(errors="replace")
    backup(shape.store_url, folder / "results")
    yield "the results database", gzip.decompress((folder / "results").read_bytes()).decode()
    yield from tables(shape)
    with shape.client() as client:
        yield "the page", json.dumps(client.recorded(f"{NAME}.deploy", "calm"))


def tables(shape: Shape) -> Iterator[tuple[str, str]]:
    """Airflow's database, a table a text."""
    with psycopg.connect(shape.store_url.replace("+psycopg", "").removesuffix("slipway") + "airflow") as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            rows = connection.execute(f'SELECT t::text FROM "{name}" t'.encode()).fetchall()
            yield f"Airflow's table {name}", "\n".join(row for (row,) in rows)


def test_after_the_teardown_no_host_runs_anything(shape, bed, opened):
    assert finished(shape, "teardown", "end").state == "success"
    for name in bed.told["hosts"]:
        assert [line for line in bed.pids(name).values() if not line.startswith("sshd")] == []
    assert not any("ray" in role or "vllm" in role for role in served(opened))
