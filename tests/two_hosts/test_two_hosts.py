"""Two hosts over SSH become one engine: real sshd, Ray and vLLM, tensor parallel across both.

One test builds on another.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from testbed.faults import cut_link, mounted_over, run, shared_address, taken_port
from testbed.project import ROOT, changed

from slipway.errors import HostUnfit, HostUnreachable, NotConverged, ServerDied, StageError
from slipway.hooks.hosts import open_site
from slipway.hosts import Host, checked, on_each
from slipway.shell import Command
from slipway.spec import DeploymentSpec, parse_deployment
from slipway.stages import environment, network, preflight, ray_cluster, ready, serve, smoke, teardown, weights
from slipway.stages.site import Outcome, Site

CABLES = ["slipway-p1", "slipway-p2"]
"""The bridge's ends of the hosts' cables."""
PREFLIGHT_S = 30.0
RAY_S = 20
NETWORK_S = 12.0

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
def hosts(opened) -> Iterator[tuple[Host, Host]]:
    with opened() as site:
        yield site.hosts["one"], site.hosts["two"]


@pytest.fixture(scope="module")
def other(deployment, hosts) -> Iterator[DeploymentSpec]:
    """A second deployment on the same hosts, which nobody starts."""
    changes = {
        "name: pair": "name: other",
        "root: /srv/slipway": "root: /srv/small/slipway",
        "  object_store_bytes: 104857600": "  object_store_bytes: 104857600\n"
        "  ports: {gcs: 16379, dashboard: 18265, block: 21000, workers: 21100}",
        "  host: 0.0.0.0": "  port: 9000\n  host: 0.0.0.0",
    }
    yield parse_deployment(changed(deployment, changes), origin="other.yaml", base=ROOT)
    for host in hosts:
        run(host, "rm", "-rf", "/srv/small")


def placed(spec: DeploymentSpec, **addresses: str) -> DeploymentSpec:
    return _with_hosts(spec, "address", addresses)


def connected(spec: DeploymentSpec, **connections: str) -> DeploymentSpec:
    return _with_hosts(spec, "connection", connections)


def _with_hosts(spec: DeploymentSpec, field: str, values: dict[str, str]) -> DeploymentSpec:
    hosts = [host.model_copy(update={field: values.get(host.name, getattr(host, field))}) for host in spec.hosts]
    return spec.model_copy(update={"hosts": tuple(hosts)})


def unfit(spec: DeploymentSpec, expected: dict[tuple[str, str], str], before=lambda: None) -> None:
    """Preflight fails within its bound, for these rows and no other, each with its cause and a next step."""
    began = time.monotonic()
    with open_site(spec, "", print, partial=True) as site:
        before()
        outcome = preflight.converge(site)
    assert time.monotonic() - began < PREFLIGHT_S
    with pytest.raises(HostUnfit) as said:
        preflight.require_fit(dict(outcome.detail))
    failed = {(row["host"], row["name"]): row for row in outcome.detail["checks"] if row["state"] == "FAIL"}
    assert failed.keys() == expected.keys()
    for place, found in expected.items():
        assert re.search(found, failed[place]["found"])
        assert failed[place]["next_step"] in said.value.hint


def full_disk(spec: DeploymentSpec, one: Host, two: Host) -> None:
    """The second host's disk is filled once Slipway's own programs are on it."""
    run(two, "mkdir", "-p", "/srv/small")
    run(two, "rm", "-rf", "/srv/small/slipway")
    with mounted_over(two, "-t", "tmpfs", "-o", "size=32m", "tmpfs", "/srv/small"):
        fill = partial(run, two, "sh", "-c", "head -c 64m /dev/zero > /srv/small/full || true")
        unfit(spec, {("two", "disk"): "0 MiB free below /srv/small/slipway, needs .* for the model"}, before=fill)


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


def test_faults_that_preflight_must_find_are_named_and_the_engine_goes_on(first, bed, opened, other, hosts):
    """Another deployment meets them, on the very hosts where the first one serves."""
    one, two = hosts
    h1, h2 = list(bed.told["hosts"])
    with taken_port(h2, 21003) as pid:
        unfit(other, {("two", "ports"): rf"21003 is held by .*create_server.*\(pid {pid}, user root\)"})
    with mounted_over(two, "-t", "tmpfs", "tmpfs", other.weights.source):
        unfit(other, {("two", "storage"): "no whole model"})
    with cut_link(CABLES):
        unfit(other, {("one", "routes"): r"two \(10.77.0.2\): ", ("two", "routes"): r"one \(10.77.0.1\): "})
    with shared_address([h1, h2], "10.78.0.1"):
        unfit(placed(other, one="10.78.0.1"), {("two", "address"): "10.78.0.1, the address of one, is on this host"})
    away = {("two", "address"): "10.77.0.9 is not on this host; it has 10.77.0.2", ("one", "routes"): "two .10.77.0.9"}
    unfit(placed(other, two="10.77.0.9"), away)
    twice = {("two", "machine"): "the same machine as one", ("two", "address"): "10.77.0.2 is not on this host"}
    unfit(connected(other, two="slipway_h1"), twice)
    full_disk(other, one, two)
    with opened() as site:
        assert ready.converge(site).actions == 0


def test_versions_that_differ_are_named_by_the_stage_environment(first, opened, serving_python, hosts, tmp_path):
    [metadata] = Path(serving_python).parents[1].glob("lib/python3*/site-packages/ray-*.dist-info/METADATA")
    older = tmp_path / "METADATA"
    older.write_text(metadata.read_text().replace("\nVersion: ", "\nVersion: 1.", 1))
    with mounted_over(hosts[1], "--bind", str(older), str(metadata)), opened() as site:
        with pytest.raises(
            StageError, match=r"^\[two\] .* differs from the head's: ray 1\.2\.60\.\d \(head: 2\."
        ) as said:
            environment.converge(site)
        assert "one lock file" in said.value.hint
        assert ready.converge(site).actions == 0


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


@pytest.mark.slow
def test_a_part_of_ray_that_dies_is_named_and_the_next_deploy_mends_it(first, bed, opened):
    [raylet] = [pid for pid, line in bed.pids("slipway-h2").items() if "/raylet/raylet " in line]
    os.kill(raylet, signal.SIGKILL)
    with opened() as site, pytest.raises(ServerDied, match=r"^\[two\] Ray ended: "):
        watch(site, 60)
    again = deploy(opened)
    assert {name for name, outcome in again.items() if outcome.actions} == {"ray_cluster", "serve"}
    smoke.require_passed(again["smoke"].detail["checks"])


def test_teardown_stops_what_is_within_reach_names_the_rest_and_leaves_nothing(first, bed, opened):
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
    with opened() as site:
        assert teardown.converge(site).actions == 0


def test_a_cut_link_ends_cluster_and_network_proof_within_their_bounds(first, opened, spec):
    """The last test: nothing serves any more."""
    hasty = spec.model_copy(update={"ray": spec.ray.model_copy(update={"timeout_s": RAY_S})})
    try:
        with cut_link(CABLES), open_site(hasty, "", print) as site:
            fails_within(NETWORK_S + 15, lambda: network.prove(site, NETWORK_S), r"\[two\] 10\.77\.0\.2: rank 1")
            fails_within(RAY_S + 30, lambda: ray_cluster.converge(site), "two")
    finally:
        with opened() as site:
            teardown.converge(site)


def fails_within(seconds: float, work: Callable[[], object], named: str) -> None:
    """With a next step, and naming the host."""
    began = time.monotonic()
    with pytest.raises(StageError, match=named) as said:
        work()
    print(f"== failed after {time.monotonic() - began:.1f} s: {said.value}")
    assert time.monotonic() - began < seconds
    assert said.value.hint
