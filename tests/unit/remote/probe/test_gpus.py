"""What ``nvidia-smi`` 580.159.04 said on an H200, and what it says where there is something wrong."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from slipway.remote.probe.gpus import gpus, parse_gpus, parse_processes

UUID = "GPU-02048945-c1dc-1b81-7d24-348771a48e11"
GPU_LINE = f"0, NVIDIA H200, {UUID}, 143771, 4715, 580.159.04, 0, No, No, 00000000:00:06.0\n"
H200 = {
    "index": 0,
    "name": "NVIDIA H200",
    "uuid": UUID,
    "memory_total_bytes": 143771 << 20,
    "memory_used_bytes": 4715 << 20,
    "driver_version": "580.159.04",
    "ecc_errors": 0,
    "remap_pending": False,
    "remap_failed": False,
    "pci": "0000:00:06",
}


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A program of that name which answers exactly the two questions that the probe asks."""

    def install(gpu: str, compute_apps: str, code: int = 0) -> None:
        fields = (
            "index,name,uuid,memory.total,memory.used,driver_version,ecc.errors.uncorrected.volatile.total,"
            "remapped_rows.pending,remapped_rows.failure,pci.bus_id"
        )
        (tmp_path / "nvidia-smi").write_text(
            f"""#!/bin/sh
case "$*" in
  "--query-gpu={fields} --format=csv,noheader,nounits") printf '%s' '{gpu}';;
  "--query-compute-apps=gpu_uuid,pid,used_memory --format=csv,noheader,nounits") printf '%s' '{compute_apps}';;
  *) echo "not expected: $*"; exit 99;;
esac
exit {code}
"""
        )
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def test_gpus_and_who_uses_them(nvidia_smi):
    with subprocess.Popen(["sleep", "300"], env={**os.environ, "SLIPWAY_ROLE": "/r/agents/d.vllm#1"}) as user:
        nvidia_smi(GPU_LINE, f"{UUID}, {user.pid}, 4706\n{UUID}, {1 << 22}, 10\n")
        time.sleep(0.05)
        seen = gpus()
        user.kill()
    assert (seen["gpus"], seen["gpu_error"]) == ([H200], None)
    ours, hidden = seen["gpu_processes"]
    assert (ours["pid"], ours["command"], ours["memory_bytes"]) == (user.pid, "sleep 300", 4706 << 20)
    assert (ours["session"], ours["mark"]) == (os.getsid(0), "/r/agents/d.vllm#1")
    assert 0 <= ours["age_s"] < 30
    assert (hidden["pid"], hidden["user"], hidden["command"], hidden["age_s"]) == (1 << 22, None, None, None)


def test_a_driver_that_does_not_answer_is_not_a_host_without_gpus(nvidia_smi):
    said = "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."
    nvidia_smi(said, "", code=9)
    seen = gpus()
    assert (seen["gpus"], seen["gpu_processes"], seen["gpu_error"]) == ([], [], said)


def test_a_driver_that_hangs_is_given_up(nvidia_smi, monkeypatch, tmp_path):
    nvidia_smi("", "")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setattr("slipway.remote.probe.gpus.TIMEOUT_S", 0.1)
    assert "timed out" in gpus()["gpu_error"]


def test_a_host_without_a_driver_has_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == {"gpus": [], "gpu_processes": [], "xids": [], "gpu_error": None}


def test_what_the_driver_does_not_know_is_none():
    [seen] = parse_gpus(f"3, Tesla T4, {UUID}, 15360, [N/A], 580.159.04, [N/A], [N/A], [N/A], 00000000:3B:00.0\n")
    assert (seen["index"], seen["memory_used_bytes"], seen["ecc_errors"]) == (3, None, None)
    assert (seen["remap_pending"], seen["remap_failed"], seen["pci"]) == (False, False, "0000:3b:00")
    assert parse_processes(f"{UUID}, 420, [N/A]\n") == [{"gpu_uuid": UUID, "pid": 420, "memory_bytes": None}]
    assert parse_gpus("No devices were found\n") == []
