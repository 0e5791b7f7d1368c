"""What moved between two looks at a host, and whose processes count."""

from __future__ import annotations

import pytest

from slipway.facts.progress import Counters, Used, moved, parse_counters

WORKER = (11, 100)


def seen(at: float, cpu_s: float = 5.0, read_bytes: int = 0, gpu: int | None = None, key=WORKER) -> Counters:
    return Counters(at, {key: Used(cpu_s, read_bytes)}, gpu)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (seen(0), seen(10), ""),
        (seen(0), seen(10, cpu_s=5.9), ""),  # below a tenth of a core: one that waits
        (seen(0), seen(10, cpu_s=6.1), "computes"),
        (seen(0), seen(10, read_bytes=1 << 19), ""),
        (seen(0), seen(10, read_bytes=3_120_000_000), "reads 312 MB/s"),
        (seen(0, gpu=0), seen(10, gpu=1 << 20), ""),
        (seen(0, gpu=80 << 30), seen(10, gpu=1 << 30), "GPU memory changes"),
        (seen(0, gpu=1 << 30), seen(10, gpu=None), ""),  # the driver did not answer
        (seen(0), seen(10, cpu_s=99.0, key=(11, 200)), ""),  # another process that took its number
        (seen(0), seen(0, cpu_s=5.0), ""),
    ],
)
def test_what_moved(before, after, said):
    assert moved(before, after) == said


def test_many_that_wait_are_not_one_that_computes():
    idle = [Counters(at, {(pid, 1): Used(0.02 * at, 0) for pid in range(64)}) for at in (0.0, 10.0)]
    assert moved(*idle) == ""


def test_of_ray_only_workers_count_and_what_they_started():
    rows = [
        ("x.vllm", 1, 0, "VLLM::EngineCore"),
        ("x.ray-head", 2, 0, "/env/bin/python"),
        ("x.ray-head", 3, 2, "ray::DashboardAgent"),
        ("x.ray-head", 4, 2, "ray::RayWorkerProc.run"),
        ("x.ray-head", 5, 4, "/usr/lib/gcc/cc1plus"),
        ("x.ray-head", 6, 5, "as"),
        ("x.ray-head", 7, 3, "python"),
        ("x.ray-head", 8, 2, "ray::IDLE"),
    ]
    processes = [
        {"role": role, "pid": pid, "began": 1, "parent": parent, "title": title, "cpu_s": 1.0, "read_bytes": 2}
        for role, pid, parent, title in rows
    ]
    found = parse_counters({"processes": processes, "gpu_memory_bytes": None, "utc_offset_s": 3600}, at=7.0)
    assert {pid for pid, _ in found.processes} == {1, 4, 5, 6, 8}
    assert found.processes[1, 1] == Used(1.0, 2)
    assert (found.at, found.utc_offset_s) == (7.0, 3600)
