from __future__ import annotations

import pytest

from slipway.facts.machine import TakenPort
from slipway.stages.preflight import judge

FACTS = {
    "commands": {"python3.11": {"path": "/usr/bin/python3.11", "version": "Python 3.11.7"}},
    "disks": {"/srv/slipway": {"free_bytes": 80 << 30, "writable": True}},
    "cpus": 64,
    "memory": {"available_bytes": 1 << 40},
    "gpus": [{"name": "NVIDIA H800", "driver_version": "580.1"}] * 2,
}


def rows(spec, facts=FACTS, taken=()):
    return {check.name: check for check in judge(spec, spec.head, facts, list(taken))}


def test_a_fit_host(spec):
    checks = rows(spec)
    assert set(checks) == {"python", "disk", "gpus", "ports"}
    assert all(check.passed for check in checks.values())
    assert "2 x NVIDIA H800, driver 580.1" in checks["gpus"].found


@pytest.mark.parametrize(
    ("change", "name", "found", "next_step"),
    [
        ({"commands": {"python3.11": None}}, "python", "python3.11 is not there", "environment.python"),
        ({"disks": {"/srv/slipway": {"free_bytes": 1 << 30, "writable": True}}}, "disk", "1 GiB free", "root"),
        ({"disks": {"/srv/slipway": {"free_bytes": 80 << 30, "writable": False}}}, "disk", "not writable", "root"),
        ({"gpus": []}, "gpus", "0 GPUs, the file says 2", "nvidia-smi"),
    ],
)
def test_what_is_missing_is_named_with_the_next_step(spec, change, name, found, next_step):
    check = rows(spec, {**FACTS, **change})[name]
    assert not check.passed
    assert found in check.found
    assert next_step in check.next_step


def test_a_rehearsal_needs_no_gpu(spec):
    rehearsal = spec.model_copy(update={"rehearsal": True})
    assert rows(rehearsal, {**FACTS, "gpus": []})["gpus"].passed


@pytest.mark.parametrize(
    ("port", "field"),
    [(9000, "serve.port"), (6379, "ray.ports.gcs"), (8265, "ray.ports.dashboard"), (20003, "ray.ports.block")],
)
def test_a_taken_port_is_named_with_its_owner_and_field(spec, port, field):
    check = rows(spec, taken=[TakenPort(port, "nginx -g (pid 7, user www)", 7)])["ports"]
    assert not check.passed
    assert f"{port} is held by nginx -g (pid 7, user www)" in check.found
    assert field in check.next_step
