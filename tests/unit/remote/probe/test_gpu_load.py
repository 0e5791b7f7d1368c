"""What ``nvidia-smi`` 580.159.04 said on an H100, and whose the processes on a GPU are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway.remote.probe.gpu_load import gpu_load, parse_loads
from slipway.remote.request import Request

UUID = "GPU-5f0c7984-63b4-516b-e1a9-43d7e9989d83"
LINE = f"0, {UUID}, 0, 0, 465, 124.36, 0x0000000000000001\n"
FIELDS = "index,uuid,utilization.gpu,memory.used,clocks.sm,power.draw,clocks_throttle_reasons.active"


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A program of that name which answers exactly the two questions that the probe asks."""

    def install(gpu: str, compute_apps: str) -> None:
        (tmp_path / "nvidia-smi").write_text(
            f"""#!/bin/sh
case "$*" in
  "--query-gpu={FIELDS} --format=csv,noheader,nounits") printf '%s' '{gpu}';;
  "--query-compute-apps=gpu_uuid,pid,used_memory --format=csv,noheader,nounits") printf '%s' '{compute_apps}';;
  *) echo "not expected: $*"; exit 99;;
esac
"""
        )
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def test_an_idle_gpu():
    assert parse_loads(LINE) == [
        {
            "index": 0,
            "uuid": UUID,
            "use": 0.0,
            "memory_bytes": 0.0,
            "sm_clock_hz": 465e6,
            "power_w": 124.36,
            "slowed": False,
        }
    ]


@pytest.mark.parametrize(
    ("reasons", "slowed"),
    [
        ("0x0000000000000000", False),
        ("0x0000000000000004", False),  # the power cap
        ("0x0000000000000008", True),
        ("0x0000000000000024", True),  # the power cap, and heat
        ("0x0000000000000040", True),
        ("0x0000000000000080", True),
        ("[N/A]", False),
    ],
)
def test_the_power_cap_alone_is_no_slowdown(reasons, slowed):
    [seen] = parse_loads(f"3, {UUID}, 100, 70000, 1980, [N/A], {reasons}\n")
    assert (seen["slowed"], seen["power_w"], seen["use"]) == (slowed, None, 1.0)


def test_descendants_of_a_role_of_the_deployment_are_its_own(nvidia_smi):
    """The role's first process starts another that has lost the mark, as one with a title of its own has."""
    child = "import os, subprocess, sys; subprocess.run(['sleep', '60'], env={})"
    env = {**os.environ, "SLIPWAY_ROLE": "/srv/slipway/agents/pair.vllm#1f"}
    with subprocess.Popen([sys.executable, "-c", child], env=env) as role, subprocess.Popen(["sleep", "60"]) as other:
        children = Path(f"/proc/{role.pid}/task/{role.pid}/children")
        while not (found := children.read_text()):
            time.sleep(0.02)
        own = int(found)
        nvidia_smi(LINE, f"{UUID}, {own}, 100\n{UUID}, {other.pid}, 100\n{UUID}, {1 << 22}, 10\n")
        seen, elsewhere = (gpu_load(Request({"deployment": name})) for name in ("pair", "pai"))
        other.kill()
        os.kill(own, 9)
    assert (len(seen["gpus"]), seen["error"]) == (1, "")
    assert [each["pid"] for each in seen["foreign"]] == [other.pid]
    assert (seen["foreign"][0]["command"], seen["foreign"][0]["gpu_uuid"]) == ("sleep 60", UUID)
    assert sorted(each["pid"] for each in elsewhere["foreign"]) == sorted([own, other.pid])


def test_a_host_without_a_driver_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = gpu_load(Request({"deployment": "pair"}))
    assert (seen["gpus"], seen["foreign"], seen["error"]) == ([], [], "no nvidia-smi")
