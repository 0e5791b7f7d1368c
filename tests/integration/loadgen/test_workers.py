"""A cell whose load comes from two hosts as well: here the hosts are folders of this machine, all else is real."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.commands import locust
from slipway.errors import LoadTestFailed
from slipway.facts.role import roles
from slipway.hosts import LocalHost
from slipway.results.cell import load_window
from slipway.results.parquet import load_cell_requests
from slipway.results.plan import LoadPlan
from slipway.spec.judging import LoadWorkerSpec
from slipway.stages.benchmark import LoadHost, measure_load
from slipway.stages.load_workers import LoadWorker

KEY = "canary-canary"


def _load(folder: Path, plan: LoadPlan, worker: LoadWorker) -> LoadHost:
    here = (str(folder), sys.executable, Path(plan.folder))
    return LoadHost(*here, api_key=KEY, workers=(worker,), master_port=_free_port())


def _worker(root: Path, name: str, python: str = sys.executable) -> LoadWorker:
    spec = LoadWorkerSpec(name=name, address="127.0.0.1", processes=1, existing=python)
    return LoadWorker(spec, LocalHost(name), str(root / name))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


@pytest.fixture
def plan(serve: Any, wire: Any, plan_for: Callable[..., LoadPlan]) -> LoadPlan:
    def behave(call: Any) -> None:
        if call.head.startswith("GET "):
            call.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        if f"Authorization: Bearer {KEY}\r\n" not in call.head:
            call.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            return
        for part in wire.stream(4):
            call.send(part)
            time.sleep(0.005)

    made = plan_for(serve(behave).url, users=6, spawn_rate=6.0, seconds=1.5, warmup_s=0.3, api_key_env="VLLM_API_KEY")
    prompts = Path(made.folder).with_name("prompts.jsonl")
    Path(made.folder, "prompts.jsonl").rename(prompts)
    return replace(made, prompts_file=str(prompts))


def test_each_makes_its_share_and_nothing_of_it_is_left(tmp_path: Path, plan: LoadPlan) -> None:
    worker = _worker(tmp_path, "load-2")
    load, said = _load(tmp_path, plan, worker), list[str]()
    measured = measure_load(load, plan, said.append)
    rows, window = list(load_cell_requests(load.folder)), load_window(load.folder)
    assert {row.host for row in rows} == {"", "load-2"}
    assert (measured.processes, measured.errors) == (2, {})
    assert measured.requests == sum(window.holds(row.ended_ns) for row in rows) > 20
    assert measured.ttft is not None
    assert measured.ttft.count == measured.requests
    assert sum(measured.client[f"requests[{name}]"] for name in ("here", "load-2")) == measured.requests
    assert 0 < measured.client["clock_bound_s[load-2]"] < 1
    assert measured.client["clock_bound_s[here]"] == 0
    assert KEY not in "\n".join(said)
    assert roles(worker.host, worker.root) == []
    assert list(Path(worker.root, "loads").iterdir()) == []


def test_a_worker_that_does_not_come_is_named(tmp_path: Path, plan: LoadPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust, "ARRIVE_S", 3.0)
    lacking = tmp_path / "python"
    lacking.write_text("#!/bin/sh\necho 'No module named locust' >&2\nexit 1\n")
    lacking.chmod(0o755)
    worker = _worker(tmp_path, "load-2", str(lacking))
    load = _load(tmp_path, plan, worker)
    with pytest.raises(LoadTestFailed) as failed:
        measure_load(load, plan, print)
    assert "1 on load-2) did not come within 2 s" in str(failed.value)
    assert "No module named locust" in str(failed.value)
    assert roles(worker.host, worker.root) == []
