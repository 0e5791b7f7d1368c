"""The program ``evidence`` on this machine: real roles, and a folder of Ray as it looks."""

from __future__ import annotations

import json
import os
import time

import pytest

from slipway.remote.evidence import system
from slipway.remote.evidence.logs import tail


@pytest.fixture
def place(tmp_path):
    logs = tmp_path / "ray" / "session_latest" / "logs"
    logs.mkdir(parents=True)
    return logs


def request(agents, place, **changed):
    own = {"folder": str(agents.folder), "deployment": "demo", "ray_folder": str(place.parents[1])}
    own |= {
        "token_file": str(place.parents[2] / "ray.token"),
        "paths": [str(place)],
        "ports": [{"port": 1}],
        "since": 0.0,
    }
    return {**own, **changed}


def collect(agents, place, **changed):
    return agents.kit.ask("evidence", "collect", request(agents, place, **changed))["files"]


def ended(agents, role):
    return agents.ask("wait", role, seconds=10)


def test_the_logs_of_this_deployment_alone(agents, place):
    agents.start(["sh", "-c", "echo mine"], role="demo.vllm")
    agents.start(["sh", "-c", "echo another"], role="demo2.vllm")
    ended(agents, "demo.vllm"), ended(agents, "demo2.vllm")
    files = collect(agents, place)
    assert "mine" in files["demo.vllm.log"]
    assert [role["role"] for role in json.loads(files["roles.json"])] == ["demo.vllm"]
    assert "another" not in "".join(files.values())


def test_rays_newest_logs_first_and_no_old_ones(agents, place):
    (place / "raylet.err").write_text("raylet said\n")
    (place / "worker-1.err").write_text("worker said\n")
    (place / "worker-2.out").write_text("")
    (place / "worker-old.err").write_text("old\n")
    os.utime(place / "worker-old.err", (1, 1))
    files = collect(agents, place, since=time.time() - 100)
    assert [name for name in files if name.startswith("ray/")] == ["ray/raylet.err", "ray/worker-1.err"]


def test_no_secret_leaves_the_host(agents, place):
    token = "c0ffee" * 10
    (place.parents[2] / "ray.token").write_text(token)
    (place / "raylet.err").write_text(f"token is {token}\n")
    says = "echo $VLLM_API_KEY; sleep 60; true"
    step = {"argv": ["sh", "-c", says], "env": {"VLLM_API_KEY": "canary-canary"}}
    agents.call("start", {**agents.request(role="demo.vllm"), "steps": [step]})
    deadline = time.monotonic() + 10
    while "canary" not in agents.ask("log", "demo.vllm", offset=0)["text"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    files = collect(agents, place, variables={"VLLM_API_KEY": "canary-canary", "VLLM_HOST_IP": "10.0.0.1"})
    given = [each["env"] for each in json.loads(files["processes.json"]) if each["env"]]
    seen = {env["VLLM_API_KEY"] for env in given if "VLLM_API_KEY" in env}
    assert seen == {"***"}  # a child that is just becoming another program may show half a list
    assert json.loads(files["variables.json"]) == {"VLLM_API_KEY": "***", "VLLM_HOST_IP": "10.0.0.1"}
    said = "".join(files.values())
    assert "canary" not in said
    assert token not in said


def test_the_key_of_a_server_that_is_dead_is_struck_out(agents, place):
    key_file = place.parents[2] / "key.json"
    key_file.touch(mode=0o600)
    key_file.write_text('{"VLLM_API_KEY": "canary-canary"}')
    agents.start(["sh", "-c", "echo the key is $VLLM_API_KEY"], role="demo.vllm", env_file=str(key_file))
    ended(agents, "demo.vllm")
    assert "the key is canary-canary" in agents.ask("log", "demo.vllm", offset=0)["text"]
    assert "the key is ***" in collect(agents, place, key_file=str(key_file))["demo.vllm.log"]
    key_file.unlink()
    assert collect(agents, place, key_file=str(key_file)), "one that is not there keeps nothing back"


def test_each_file_and_the_whole_are_bounded(agents, place):
    for number in range(8):
        (place / f"worker-{number}.err").write_text("x" * 99 + "\n" if number else ("y" * 999 + "\n") * 2000)
    agents.start(["sh", "-c", "yes | head -c 3000000"], role="demo.vllm")
    ended(agents, "demo.vllm")
    answer = agents.kit.ask("evidence", "collect", request(agents, place, file_bytes=2048))
    assert all(len(text) <= 2048 for name, text in answer["files"].items() if name.endswith((".log", ".err")))
    whole = agents.kit.ask("evidence", "collect", request(agents, place, file_bytes=1 << 20))
    assert sum(map(len, whole["files"].values())) <= 4 << 20


def test_a_tail_begins_with_a_whole_line(tmp_path):
    (tmp_path / "log").write_text("first\nsecond\nthird\n")
    assert tail(tmp_path / "log", 10) == "third\n"
    assert tail(tmp_path / "log", 100) == "first\nsecond\nthird\n"
    assert tail(tmp_path / "absent", 10) == ""


def test_the_kernels_old_lines_do_not_count(monkeypatch):
    up_s = float(system.Path("/proc/uptime").read_text().split()[0])
    said = {500: "Out of memory: Killed process 1 (old)", 5: "NVRM: Xid (PCI:1): 79", 0: "usb"}
    text = "".join(f"[{up_s - age_s:.6f}] {line}\n" for age_s, line in said.items())
    monkeypatch.setattr(system, "_said", lambda argv, timeout_s: (text, ""))
    now = time.time()
    lines, error = system.kernel_lines(now - 60, now)
    assert (len(lines), error) == (1, "")
    assert lines[0].endswith("NVRM: Xid (PCI:1): 79")


def test_a_kernel_that_may_not_be_read_is_said(monkeypatch):
    monkeypatch.setattr(system, "_said", lambda argv, timeout_s: ("", "cannot be read: dmesg: not permitted"))
    assert system.kernel_lines(0, 1) == ([], "cannot be read: dmesg: not permitted")
