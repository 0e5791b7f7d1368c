"""A whole deployment whose load comes from another host too, for real: vLLM on one host, Locust on this machine and on
the other host over SSH. One test builds on another.

The figures are not what is looked at: a tiny model, its clients and Airflow share the cores, and the guards say so.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed.project import Project, changed
from two_hosts.conftest import open_bed_project

from slipway.results.parquet import load_cell_requests
from slipway.store import Cell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

USERS = 6
CHANGES = {
    "name: pair": "name: loaded",
    "  - {name: two, connection: slipway_h2, address: 10.77.0.2}\n": "",
    "tensor_parallel: 2": "tensor_parallel: 1\n  backend: mp",
    "    - {users: 1, spawn_rate: 1}\n": "",
    "    - {users: 2, spawn_rate: 2}\n": f"    - {{users: {USERS}, spawn_rate: {USERS}}}\n",
    "  output_tokens: 16": "  output_tokens: 16\n  workers:\n    - {name: far, connection: slipway_h2, "
    f"address: 10.77.0.2, processes: 2, existing: {sys.executable}}}",
}


@pytest.fixture(scope="module")
def project(bed, deployment: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    text = changed(deployment, CHANGES)
    with open_bed_project(bed, tmp_path_factory.mktemp("loaded"), "loaded", 27380, text) as made:
        yield made


@pytest.mark.parametrize("job", ["deploy", "benchmark"])
def test_three_processes_on_two_machines_make_one_cell(project: Project, bed, job: str) -> None:
    done = project.slipway("up", str(project.file), "--job", job)
    assert done.returncode == 0, done.stdout + done.stderr
    run = project.last_run()
    assert (run.job, run.state) == (job, "success")
    [cell] = project.store().cells(run.id)
    rows = Counter(row.host for row in load_cell_requests(Path(cell.artifacts)))
    print(f"{job}: {told(cell)}; rows {dict(rows)}")
    assert set(rows) == {"", "far"}
    assert rows["far"] > rows[""]
    measured = cell.measurement
    assert (measured.processes, measured.users, measured.errors) == (3, USERS, {})
    assert measured.requests == measured.client["requests[here]"] + measured.client["requests[far]"]
    assert abs(measured.client["clock_ahead_s[far]"]) <= measured.client["clock_bound_s[far]"]
    assert left_on(bed) == []


def told(cell: Cell) -> str:
    measured = cell.measurement
    speed = f"{measured.output_tokens_per_s:.0f} tokens/s of {measured.requests} requests"
    return f"{speed}, {measured.validity} {'; '.join(measured.reasons)}"


def left_on(bed) -> list[str]:
    """What runs on the host that made load, its sshd apart."""
    return [line for line in bed.pids("slipway-h2").values() if "sshd" not in line]
