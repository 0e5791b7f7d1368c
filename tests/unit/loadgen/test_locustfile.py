"""The Locust file, run by the real Locust as a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from slipway.commands import locust
from slipway.loadgen.plan import LoadPlan
from slipway.results.cell import measure


def _run(plan: LoadPlan) -> tuple[int, str]:
    path = locust.plan_path(plan)
    Path(path).write_text(plan.to_json())
    command = locust.command(sys.executable, path, plan)
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **command.env}
    done = subprocess.run(command.argv, env=env, cwd=command.cwd, stderr=subprocess.PIPE, timeout=60, check=False)
    return done.returncode, done.stderr.decode()


def test_a_cell_in_which_everything_fails_ends_with_0(plan_for: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
    plan = plan_for(url, users=2, spawn_rate=100.0)
    code, said = _run(plan)
    assert code == 0, said
    measured = measure(Path(plan.folder), plan)
    assert (measured.requests, set(measured.errors), measured.ttft) == (0, {"connect_refused"}, None)
    assert measured.validity == "invalid"


def test_a_plan_that_cannot_be_carried_out_is_said_at_once(plan_for: Any) -> None:
    plan = plan_for("http://127.0.0.1:9", prompts_file="/nowhere.jsonl", processes=2)
    code, said = _run(plan)
    assert code == 2
    assert "cannot read the prompts /nowhere.jsonl" in said


def test_nothing_that_airflow_imports_brings_gevent() -> None:
    modules = ("results.cell", "commands.locust", "loadgen", "loadgen.plan", "loadgen.prompts", "loadgen.prepare")
    program = f"""
import importlib, json, sys
for name in {modules}:
    importlib.import_module("slipway." + name)
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] in ("gevent", "locust"))))
"""
    env = {**os.environ, "PYTHONPATH": locust.command("p", "f", _any_plan()).env["PYTHONPATH"]}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def _any_plan() -> LoadPlan:
    return LoadPlan(base_url="http://h:1", model="m", users=1, seconds=1.0, folder="/f")
