from __future__ import annotations

import json

import pytest
from testbed.lost import lost_host

from slipway.errors import HostUnreachable
from slipway.facts.evidence import Bundle
from slipway.hosts import LocalHost
from slipway.stages.evidence import Evidence, explain, gather, sources
from slipway.stages.site import Site

PORT = "OSError: [Errno 98] Address already in use"


def test_each_log_belongs_to_a_program():
    names = {
        "kernel.txt",
        "ray/raylet.err",
        "ray/worker-1.err",
        "pair.ray-head.log",
        "pair.vllm.log",
        "pair.vllm-worker.log",
    }
    others = {"pair.vllm.log.1", "ports.json", "nvidia-smi.txt", "ray/dashboard.log"}
    assert {source.name: source.program for source in sources(Bundle("a", dict.fromkeys(names | others, "x")))} == {
        "kernel.txt": "kernel",
        "ray/raylet.err": "ray",
        "ray/worker-1.err": "vllm",
        "pair.ray-head.log": "ray",
        "pair.vllm.log": "vllm",
        "pair.vllm-worker.log": "vllm",
    }


def test_a_full_disk_is_the_cause_of_what_could_not_even_say_so(spec):
    disks = {"/srv": {"free_bytes": 4096, "looked_at": "/srv"}, "/tmp": {"free_bytes": 1 << 30, "looked_at": "/tmp"}}
    said = "RuntimeError: Failed to start GCS. Failed to connect to GCS at address 10.0.0.1:6379"
    bundle = Bundle("a", {"pair.ray-head.log": said, "disks.json": json.dumps(disks)})
    found = explain(spec, Evidence({"a": bundle}, {}), "ray_cluster", 0.0, "Ray's head ended")
    assert (found.id, found.log) == ("disk-full", "disks.json")
    assert found.line == "/srv: No space left on device (4096 bytes are free)"
    disks["/srv"]["free_bytes"] = 1 << 30
    bundle = Bundle("a", {"pair.ray-head.log": said, "disks.json": json.dumps(disks)})
    assert explain(spec, Evidence({"a": bundle}, {}), "ray_cluster", 0.0, "x").id == "ray-no-gcs"


def test_the_cause_has_the_name_of_its_host(spec):
    said = "(RayWorkerProc pid=5, ip=10.0.0.2) RuntimeError: Unable to find address for: ib7"
    found = explain(spec, Evidence({"a": Bundle("a", {"pair.vllm.log": said})}, {}), "ready", 0.0, "[a] vLLM ended")
    assert (found.id, found.host, found.log) == ("gloo-if", "b", "pair.vllm.log")


def test_what_the_stage_says_counts_too(spec):
    said = "vLLM's own parser refuses serve.args: unrecognized arguments: --swap-space"
    found = explain(spec, Evidence({}, {}), "serve", 0.0, said)
    assert (found.id, found.log) == ("arg-unknown", "the stage's own words")
    assert explain(spec, Evidence({}, {}), "serve", 0.0, "nobody knows") is None


def test_what_an_earlier_start_said_is_no_cause(spec):
    found = Evidence({"a": Bundle("a", {"pair.vllm.log.1": PORT})}, {})
    assert explain(spec, found, "ready", 0.0, "x") is None


@pytest.mark.parametrize(
    ("stage", "alive", "ended_at", "cause"),
    [
        ("serve", False, 100.0, None),
        ("serve", False, 300.0, "port-busy"),
        ("serve", True, None, "port-busy"),
        ("ready", False, 100.0, "port-busy"),
    ],
)
def test_what_had_ended_before_the_run_is_a_cause_only_for_what_needs_it(spec, stage, alive, ended_at, cause):
    roles = json.dumps([{"role": "pair.vllm", "alive": alive, "ended_at": ended_at}])
    found = Evidence({"a": Bundle("a", {"pair.vllm.log": PORT, "roles.json": roles})}, {})
    told = explain(spec, found, stage, 200.0, "x")
    assert (told.id if told else None) == cause


def test_a_host_that_is_silent_keeps_no_other_back(spec, tmp_path):
    away = lost_host("b", HostUnreachable("b", "b is not there"))
    here = spec.model_copy(update={"root": str(tmp_path)})
    site = Site(here, {"a": LocalHost("a"), "b": away}, say=lambda line: None).within_reach()
    found = gather(site, 0.0)
    assert set(found.bundles) == {"a"}
    assert set(found.silent) == {"b"}
    assert {"nvidia-smi.txt", "disks.json", "kernel.txt"} <= set(found.bundles["a"].files)
