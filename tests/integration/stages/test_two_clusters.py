"""Real Ray: two deployments and a stranger's Ray beside each other on one machine, and a gate that sees them all."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.commands import python_env, ray
from slipway.errors import NotConverged, ServerDied
from slipway.facts import ray as clusters
from slipway.facts.role import role, roles
from slipway.hosts import LocalHost
from slipway.spec import parse_deployment
from slipway.stages import ray_cluster, teardown
from slipway.stages.site import Site

ROOT = Path(__file__).parents[3]
STRANGER = 24379
"""The port of a Ray that Slipway did not start, on 127.0.0.4."""

DEPLOYMENT = """
version: 1
name: {name}
rehearsal: true
root: {root}
hosts: {hosts}
environment: {{existing: {python}}}
weights: {{source: /nowhere, name: tiny}}
ray:
  ports: {{gcs: {base}, dashboard: {dashboard}, block: {block}, workers: {workers}, workers_count: 64}}
  object_store_bytes: 83886080
  timeout_s: 60
serve: {{model_name: tiny, port: {serve}}}
benchmark: {{levels: [{{users: 1}}]}}
"""

HOLDER = """
import sys, ray
ray.init(log_to_driver=False)
group = ray.util.placement_group([{"GPU": 1}])
assert group.wait(30)
print(group.id.hex(), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Beds:
    """Opens deployments below one root."""

    root: Path
    python: str

    def site(self, name: str, base: int, hosts: str) -> Site:
        ports = {"base": base, "dashboard": base + 1, "serve": base + 2, "block": base + 10, "workers": base + 100}
        text = DEPLOYMENT.format(name=name, root=self.root, hosts=hosts, python=self.python, **ports)
        spec = parse_deployment(text, origin=f"{name}.yaml", base=ROOT)
        site = Site(spec, {host.name: LocalHost(host.name) for host in spec.hosts}, "", print)
        site.prepare()
        return site


@pytest.fixture(scope="module")
def beds(serving_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beds]:
    """A root below which nothing runs afterwards."""
    made = Beds(tmp_path_factory.mktemp("beds"), serving_python)
    yield made
    teardown.stop_all(LocalHost("here"), str(made.root), print)


@pytest.fixture(scope="module")
def stranger(serving_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """Ray as anybody starts it, without Slipway and without a token."""
    flags = f"--head --block --port={STRANGER} --node-ip-address=127.0.0.4 --include-dashboard=false --num-cpus=1"
    sizes = "--object-store-memory=83886080 --disable-usage-stats --ray-client-server-port=24380"
    workers = "--min-worker-port=24400 --max-worker-port=24440"
    with Path(tmp_path_factory.mktemp("stranger") / "log").open("wb") as log:
        argv = [serving_python, "-m", "ray.scripts.scripts", "start", *f"{flags} {sizes} {workers}".split()]
        temp_dir = f"/tmp/stranger-{os.getpid()}"
        process = subprocess.Popen(
            [*argv, f"--temp-dir={temp_dir}"], stdout=log, stderr=log, start_new_session=True, env=plain_env()
        )
    try:
        wait_for_port("127.0.0.4", STRANGER)
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        subprocess.run(["rm", "-rf", temp_dir], check=True)


@pytest.fixture(scope="module")
def left(beds: Beds) -> Site:
    site = beds.site("left", 26000, "[{name: here, address: 127.0.0.2}]")
    ray_cluster.converge(site)
    return site


@pytest.fixture(scope="module")
def right(beds: Beds) -> Site:
    site = beds.site("right", 27000, "[{name: here, address: 127.0.0.3}]")
    ray_cluster.converge(site)
    return site


def plain_env() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "RAY_AUTH_MODE": "disabled"}


def wait_for_port(address: str, port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection((address, port), timeout=1).close()
            return
        time.sleep(0.2)
    raise AssertionError(f"nothing listens on {address}:{port}")


def strangers_nodes(site: Site) -> str:
    """What the stranger's Ray says of itself; empty where it does not answer."""
    call = python_env.program(site.spec.environment.existing or "", "cluster", timeout_s=30)
    env = {**plain_env(), "RAY_ADDRESS": f"127.0.0.4:{STRANGER}"}
    done = subprocess.run(call.argv, env=env, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout if done.returncode == 0 else ""


def nodes(site: Site) -> dict[str, float]:
    return dict(clusters.cluster(site.head, site.spec, site.spec.environment.existing or "").gpus)


def head(site: Site):
    return role(site.head, site.root, ray.role_name(site.spec, site.spec.head))


def test_each_cluster_has_its_own_host_alone(stranger, left, right):
    assert nodes(left) == {"127.0.0.2": 1.0}
    assert nodes(right) == {"127.0.0.3": 1.0}
    assert ray_cluster.converge(left).actions == ray_cluster.converge(right).actions == 0
    assert '"127.0.0.4"' in strangers_nodes(left)


def test_the_gate_names_a_placement_group_that_is_not_ours(left):
    argv = [left.spec.environment.existing, "-c", HOLDER]
    env = {**os.environ, **ray.client_env(left.spec)}
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        group = holder.stdout.readline().strip()
        hurried = left.spec.model_copy(update={"ray": left.spec.ray.model_copy(update={"timeout_s": 3})})
        with pytest.raises(NotConverged) as caught:
            ray_cluster.converge(Site(hurried, left.hosts, "", print))
        holder.stdin.close()
    assert f"placement group {group} (1 GPU on 127.0.0.2)" in str(caught.value)
    assert ray_cluster.converge(left).actions == 0, "the group went with its driver"


def test_a_worker_that_cannot_join_is_tried_again_and_then_named(beds):
    said: list[str] = []
    broken = "{name: two, address: 127.0.0.6, env: {RAY_OVERRIDE_RESOURCES: nonsense}}"
    site = beds.site("clash", 28000, f"[{{name: one, address: 127.0.0.5}}, {broken}]")
    with pytest.raises(ServerDied, match=r"^\[two\] Ray ended"):
        ray_cluster.converge(Site(site.spec, site.hosts, "", said.append))
    assert [line for line in said if "join the cluster again" in line] == [
        "[two] join the cluster again, since Ray ended: exit code 1"
    ] * ray_cluster.JOIN_TRIES
    assert said.index("[one] start Ray's head") < said.index("[two] join the cluster")
    teardown.converge(site)


def test_no_worker_joins_a_head_that_died(beds):
    site = beds.site("headless", 29000, "[{name: one, address: 127.0.0.5}, {name: two, address: 127.0.0.6}]")
    broken = site.spec.model_copy(update={"ray": site.spec.ray.model_copy(update={"temp_dir": "/proc/nowhere"})})
    site, began = Site(broken, site.hosts, "", print), time.monotonic()
    with pytest.raises(ServerDied, match=r"^\[one\] Ray ended"):
        ray_cluster.converge(site)
    assert time.monotonic() - began < 30
    assert [state.role for state in roles(site.head, site.root) if state.role.startswith("headless.")] == [
        "headless.ray-head"
    ]


def test_teardown_of_one_leaves_the_other_and_the_strangers_alone(stranger, left, right):
    session = head(right).session
    teardown.converge(left)
    assert not head(left).alive
    assert (head(right).alive, head(right).session) == (True, session)
    assert nodes(right) == {"127.0.0.3": 1.0}
    assert ray_cluster.converge(right).actions == 0
    teardown.converge(right)
    assert not head(right).alive
    assert stranger.poll() is None
    assert '"127.0.0.4"' in strangers_nodes(left)
