"""This machine as the probe sees it, held against other sources of the same facts."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway.remote.probe.machine import disk, machine, program
from slipway.remote.refusal import Refused
from slipway.remote.request import Request


def test_this_machine(tmp_path, monkeypatch):
    (tmp_path / "silent").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "silent").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    seen = machine(Request({"paths": [f"{tmp_path}/x/y", "/"], "commands": [sys.executable, "silent", "no-such-one"]}))
    assert (seen["hostname"], seen["kernel"]) == (platform.node(), platform.release())
    assert seen["python"] == platform.python_version()
    assert seen["cpus"] == len(os.sched_getaffinity(0))
    assert seen["cpu_model"]
    page = os.sysconf("SC_PAGE_SIZE")
    assert abs(seen["memory"]["total_bytes"] - os.sysconf("SC_PHYS_PAGES") * page) < 1 << 20
    assert 0 < seen["memory"]["available_bytes"] <= seen["memory"]["total_bytes"]
    assert seen["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert abs(seen["time"] - time.time()) < 60
    assert seen["commands"] == {
        sys.executable: {"path": sys.executable, "version": f"Python {platform.python_version()}"},
        "silent": {"path": f"{tmp_path}/silent", "version": None},
        "no-such-one": None,
    }
    assert seen["disks"]["/"]["total_bytes"] == shutil.disk_usage("/").total
    assert seen["disks"][f"{tmp_path}/x/y"]["looked_at"] == str(tmp_path)
    assert {"nofile", "memlock_bytes"} == seen["limits"].keys()
    assert seen["locks_freely"] is _may_lock_more_than_its_limit()
    assert seen["shared_memory"]["total_bytes"] == shutil.disk_usage("/dev/shm").total
    assert seen["disks"]["/"]["device"] == Path("/").stat().st_dev
    assert (seen["gpus"], seen["gpu_processes"], seen["gpu_error"]) == ([], [], None)


def test_a_program_that_does_not_end_has_no_version(tmp_path, monkeypatch):
    monkeypatch.setattr("slipway.remote.probe.machine.VERSION_TIMEOUT_S", 0.1)
    (tmp_path / "slow").write_text("#!/bin/sh\nexec sleep 30\n")
    (tmp_path / "slow").chmod(0o755)
    assert program(str(tmp_path / "slow")) == {"path": str(tmp_path / "slow"), "version": None}


def test_a_file_system_without_room():
    seen = disk(Path("/proc/1/x"))
    assert (seen["looked_at"], seen["free_bytes"]) == ("/proc/1", 0)


@pytest.mark.parametrize("wrong", [{"paths": "/"}, {"paths": [1]}, {"commands": {"a": 1}}])
def test_a_wrong_field_is_named(wrong):
    with pytest.raises(Refused, match=f"^{next(iter(wrong))}"):
        machine(Request(wrong))


def _may_lock_more_than_its_limit() -> bool:
    """Tried, in a process whose limit is one page."""
    tried = (
        "import ctypes, mmap, resource\n"
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 4096))\n"
        "held = mmap.mmap(-1, 1 << 20)\n"
        "place = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(held)))\n"
        "raise SystemExit(ctypes.CDLL(None).mlock(place, ctypes.c_size_t(1 << 20)))\n"
    )
    return subprocess.run([sys.executable, "-c", tried], capture_output=True, check=False).returncode == 0
