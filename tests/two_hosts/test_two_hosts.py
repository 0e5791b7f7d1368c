"""Two hosts over SSH become one engine: real sshd, Ray and vLLM, tensor parallel across both.

One test builds on another.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator

import pytest

from slipway.errors import HostUnfit, HostUnreachable, NotConverged, ServerDied
from slipway.hosts import checked, on_each
from slipway.shell import Command
from slipway.stages import environment, network, preflight, ray_cluster, ready, serve, smoke, teardown, weights
from slipway.stages.site import Outcome, Site

STAGES = {
    "preflight": preflight,
    "environment": environment,
    "weights": weights,
    "ray_cluster": ray_cluster,
    "network": network,
    "serve": serve,
    "ready": ready,
    "smoke": smoke,
}


def deploy(opened) -> dict[str, Outcome]:
    """Each stage with connections of its own, as each Airflow task has."""
    outcomes = {}
    for name, stage in STAGES.items():
        began = time.monotonic()
        with opened() as site:
            outcomes[name] = stage.converge(site)
        print(f"== {name}: {time.monotonic() - began:.1f} s, {outcomes[name].summary}")
    return outcomes


def watch(site: Site, seconds: float) -> None:
    """Ask again whether the engine is ready, until it is not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ready.converge(site)
        time.sleep(1)


def clear(opened) -> None:
    with opened() as site:
        teardown.converge(site)
        for host in site.hosts.values():
            checked(host.run(Command(("rm", "-rf", site.root))))


@pytest.fixture(scope="module")
def first(opened) -> Iterator[dict[str, Outcome]]:
    """The first pass, on bare hosts. Whatever becomes of it, nothing is left on them."""
    clear(opened)
    try:
        yield deploy(opened)
    finally:
        clear(opened)


def test_every_stage_reaches_both_hosts(first, lines):
    assert {name for name, outcome in first.items() if outcome.actions} == {"weights", "ray_cluster", "serve"}
    assert first["weights"].actions == 2
    assert first["ray_cluster"].detail["gpus"] == {"10.77.0.1": 1.0, "10.77.0.2": 1.0}
    assert first["preflight"].detail["verdict"].startswith("fit: 2 hosts, 24 checks")
    assert first["preflight"].detail["verdict"] in lines
    rows = [line.split()[:2] for line in lines]
    for check in ("python", "disk", "ports", "routes"):
        assert ["one", check] in rows
        assert ["two", check] in rows


def test_each_host_has_its_own_disk(first, opened):
    with opened() as site:
        found = on_each(site.hosts.values(), lambda host: host.run(Command(("ls", f"{site.root}/agents"))))
    roles = {name: result.stdout.split() for name, result in found.items()}
    assert roles["one"] == ["pair.ray-head", "pair.vllm", "weights.tiny-qwen3"]
    assert roles["two"] == ["pair.ray-worker", "weights.tiny-qwen3"]


def test_one_worker_of_the_engine_runs_on_each_host(first, bed):
    for name in bed.told["hosts"]:
        assert len([line for line in bed.pids(name).values() if "RayWorkerProc" in line]) == 1, name


def test_the_server_answers_from_another_machine(first, spec):
    smoke.require_passed(first["smoke"].detail["checks"])
    with urllib.request.urlopen(f"{spec.endpoint}/v1/models", timeout=30) as answer:
        assert [model["id"] for model in json.load(answer)["data"]] == ["tiny"]


def test_a_second_pass_does_nothing(first, opened):
    assert {name: outcome.actions for name, outcome in deploy(opened).items()} == dict.fromkeys(STAGES, 0)


def test_a_host_that_does_not_answer_is_named_and_the_engine_goes_on(first, bed, opened):
    bed.stop_sshd("slipway-h2")
    try:
        began = time.monotonic()
        with pytest.raises(HostUnreachable, match=r"^\[two\] .*slipway_h2") as caught, opened():
            pass
        assert time.monotonic() - began < 60
    finally:
        assert bed.up()["made"] == ["slipway-h2"]
    assert "[one]" not in str(caught.value)
    with opened() as site:
        assert ready.converge(site).actions == 0


def test_a_changed_host_key_is_refused_at_once(first, bed, opened, monkeypatch):
    connection = json.loads(os.environ["AIRFLOW_CONN_SLIPWAY_H2"])
    connection["extra"]["host_key"] = bed.told["connections"]["slipway_h1"]["extra"]["host_key"]
    monkeypatch.setenv("AIRFLOW_CONN_SLIPWAY_H2", json.dumps(connection))
    with pytest.raises(HostUnfit, match=r"^\[two\] its SSH host key is not the one .*slipway_h2") as caught, opened():
        pass
    assert not caught.value.transient
    assert "host_key" in caught.value.hint


def test_a_part_of_ray_that_dies_is_named_and_the_next_deploy_mends_it(first, bed, opened):
    [raylet] = [pid for pid, line in bed.pids("slipway-h2").items() if "/raylet/raylet " in line]
    os.kill(raylet, signal.SIGKILL)
    with opened() as site, pytest.raises(ServerDied, match=r"^\[two\] Ray ended: "):
        watch(site, 60)
    again = deploy(opened)
    assert {name for name, outcome in again.items() if outcome.actions} == {"ray_cluster", "serve"}
    smoke.require_passed(again["smoke"].detail["checks"])


def test_teardown_stops_what_is_within_reach_and_names_the_rest(first, bed, opened):
    bed.stop_sshd("slipway-h2")
    try:
        with opened(partial=True) as site:
            assert (list(site.hosts), list(site.out_of_reach)) == (["one"], ["two"])
            outcome = teardown.converge(site)
        assert outcome.actions > 0
        with pytest.raises(NotConverged, match=r"stopped on one, but not on two:\n\[two\] .*slipway_h2"):
            teardown.require_reached(outcome)
        assert [line for line in bed.pids("slipway-h1").values() if not line.startswith("sshd")] == []
    finally:
        assert bed.up()["made"] == ["slipway-h2"]
    with opened(partial=True) as site:
        assert site.out_of_reach == {}
        outcome = teardown.converge(site)
    teardown.require_reached(outcome)
    assert [line for line in bed.pids("slipway-h2").values() if not line.startswith("sshd")] == []
    assert {outcome.actions > 0 for outcome in deploy(opened).values()} == {True, False}


def test_teardown_leaves_nothing(first, bed, opened):
    with opened() as site:
        assert teardown.converge(site).actions > 0
    with opened() as site:
        assert teardown.converge(site).actions == 0
    for name in bed.told["hosts"]:
        assert [line for line in bed.pids(name).values() if not line.startswith("sshd")] == []
