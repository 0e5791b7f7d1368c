"""Whole cells of several processes: the real Locust against a real server, and what is left when it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from slipway.commands import locust
from slipway.loadgen.plan import LoadPlan
from slipway.results.cell import load_window, measure
from slipway.results.rows import load_rows


def _start(plan: LoadPlan) -> subprocess.Popen[str]:
    path = locust.plan_path(plan)
    Path(path).write_text(plan.to_json())
    command = locust.command(sys.executable, path, plan)
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **command.env}
    return subprocess.Popen(command.argv, env=env, cwd=command.cwd, stderr=subprocess.PIPE, text=True)


def _run(plan: LoadPlan) -> tuple[int, str]:
    process = _start(plan)
    said = process.communicate(timeout=60)[1]
    return process.returncode, said


def _until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _paced(wire: Any) -> Callable[[Any], None]:
    def behave(call: Any) -> None:
        if call.head.startswith("GET /metrics "):
            text = f"vllm:generation_tokens_total {100 + 4 * call.turn}\n".encode()
            call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
            return
        for part in wire.stream(4):
            call.send(part)
            time.sleep(0.005)

    return behave


def test_a_cell_of_two_processes(serve: Any, wire: Any, plan_for: Any) -> None:
    plan = plan_for(serve(_paced(wire)).url, users=4, spawn_rate=4.0, processes=2, seconds=1.5, warmup_s=0.3)
    stale = Path(plan.folder, "rows-1.jsonl")
    stale.write_text("of an earlier try\n")
    code, said = _run(plan)
    assert code == 0, said
    assert not stale.exists()
    assert len(list(Path(plan.folder).glob("rows-*.jsonl"))) == len(list(Path(plan.folder).glob("clients-*.json"))) == 2
    window, rows = load_window(Path(plan.folder)), list(load_rows(Path(plan.folder)))
    assert window.seconds == 1.5
    assert window.start_ns - max(min(row.sent_ns for row in rows if row.user == user) for user in (0, 1)) > 0.3e9
    measured = measure(Path(plan.folder), plan)
    assert (measured.errors, measured.window_s, measured.processes) == ({}, 1.5, 2)
    assert measured.requests == sum(window.holds(row.ended_ns) for row in rows) > 20
    assert measured.server["generation_tokens"] > 0
    assert measured.series["server"]["at_s"] == pytest.approx([0.0, 1.5], abs=0.1)
    assert measured.ttft is not None
    assert measured.ttft.count == measured.requests
    assert "/v1/chat/completions" in said


def test_an_open_loop_of_two_processes(serve: Any, wire: Any, plan_for: Any) -> None:
    server = serve(_paced(wire))
    plan = plan_for(server.url, users=0, rate=40.0, arrivals="constant", processes=2, seconds=1.5, warmup_s=0.3)
    code, said = _run(plan)
    assert code == 0, said
    measured = measure(Path(plan.folder), plan)
    assert (measured.errors, measured.users, measured.rate) == ({}, 0, 40.0)
    assert 54 <= measured.requests <= 63
    assert measured.client["offered_share"] > 0.97
    assert measured.scheduled["ttft"].count == measured.requests


def test_locusts_own_page_and_its_report(serve: Any, wire: Any, plan_for: Any) -> None:
    plan = plan_for(serve(_paced(wire)).url, users=2, spawn_rate=2.0, seconds=2.0)
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    path = locust.plan_path(plan)
    Path(path).write_text(plan.to_json())
    command = locust.command(sys.executable, path, plan, web_port=port)
    process = subprocess.Popen(command.argv, env={**os.environ, **command.env}, cwd=command.cwd)
    pages: list[str] = []

    def shown() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/stats/requests") as page:
            pages.append(page.read().decode())
        return bool(pages) and "/v1/chat/completions" in pages[-1]

    _until(shown)
    assert process.wait(timeout=30) == 0
    assert measure(Path(plan.folder), plan).requests > 0
    assert "/v1/chat/completions" in Path(plan.folder, locust.REPORT_FILE).read_text()


def test_a_lost_process_is_no_result(serve: Any, wire: Any, plan_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_for(serve(_paced(wire)).url, users=2, processes=2, seconds=1.0)
    path = Path(plan.folder, "short.py")
    path.write_text(
        "import slipway.loadgen.conduct as conduct\nconduct.SPARE_S = 0.5\n"
        "import slipway.results.plan as plan\nplan.DRAIN_S = 0.5\n"
        "from slipway.loadgen.locustfile import *\n"
    )
    command = locust.command(sys.executable, locust.plan_path(plan), plan)
    Path(locust.plan_path(plan)).write_text(plan.to_json())
    argv = [str(path) if word.endswith("locustfile.py") else word for word in command.argv]
    env = {**os.environ, **command.env}
    process = subprocess.Popen(argv, env=env, cwd=plan.folder, stderr=subprocess.PIPE, text=True)
    _until(lambda: len(list(Path(plan.folder).glob("rows-*.jsonl"))) == 2)
    psutil.Process(process.pid).children()[0].kill()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 3
    assert "1 of 2 load processes (1 on this machine) did not report" in said
    assert not Path(plan.folder, "window.json").exists()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_conducting_process_is_ended(serve: Any, wire: Any, plan_for: Any, sent: int) -> None:
    plan = plan_for(serve(_paced(wire)).url, users=2, processes=2, seconds=60.0)
    process = _start(plan)
    _until(lambda: sum(path.stat().st_size > 0 for path in Path(plan.folder).glob("rows-*.jsonl")) == 2)
    children = psutil.Process(process.pid).children()
    process.send_signal(sent)
    process.communicate(timeout=30)
    assert process.returncode != 0
    _until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
