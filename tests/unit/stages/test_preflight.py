"""The preflight table, as pure judgement of what a host looks like."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import HostUnfit
from slipway.facts.machine import Links, Peer, TakenPort
from slipway.facts.weights import Reading, Weights
from slipway.remote.probe.gpus import GPU_FIELDS, parse_gpus
from slipway.results.preflight import State, checks_of, told, verdict
from slipway.stages.preflight import require_fit
from slipway.stages.preflight.judge import judge
from slipway.stages.preflight.seen import Seen, ports

GIB = 1 << 30
CAPTURED = Path(__file__).parents[2] / "data" / "nvidia-smi-580.159.04" / "query.csv"
ROOT, STORE = "/srv/slipway", "/srv/slipway/models/tiny"


def captured_gpus(count: int) -> list[dict]:
    """The H100 of the captured answer, as often as asked for."""
    [row] = csv.DictReader(CAPTURED.read_text().splitlines(), skipinitialspace=True)
    values = {name.split(" [")[0]: value for name, value in row.items()}
    [gpu] = parse_gpus(", ".join(values[field] for field in GPU_FIELDS))
    return [{**gpu, "index": index, "uuid": f"GPU-{index}", "pci": f"0000:00:0{index}"} for index in range(count)]


def disk(free: int, device: int = 1, *, writable: bool = True) -> dict:
    return {"free_bytes": free, "total_bytes": 900 * GIB, "device": device, "writable": writable}


FACTS = {
    "hostname": "a",
    "boot_id": "boot-a",
    "commands": {"python3.11": {"path": "/usr/bin/python3.11", "version": "Python 3.11.7"}},
    "disks": {ROOT: disk(80 * GIB), STORE: disk(80 * GIB)},
    "cpus": 64,
    "memory": {"available_bytes": 1 << 40, "total_bytes": 1 << 40},
    "shared_memory": {"free_bytes": 64 * GIB, "total_bytes": 64 * GIB},
    "limits": {"nofile": {"soft": 1024, "hard": 1 << 20}, "memlock_bytes": {"soft": None, "hard": None}},
    "locks_freely": False,
    "gpus": captured_gpus(2),
    "gpu_processes": [],
    "xids": [],
    "gpu_error": None,
}
WEIGHTS = Weights(True, 30 * GIB, current=False, path=None, digest=None, problems=(), needed_bytes=32 * GIB)
LINKS = Links(
    local=True,
    interface="eth0",
    interfaces={"lo": ["127.0.0.1"], "eth0": ["10.0.0.1"], "ibs108": []},
    peers=[Peer("b", "10.0.0.2", local=False, interface="eth0", source="10.0.0.1", fault=None)],
    infiniband={"mlx5_0": {"1": "ACTIVE"}, "mlx5_1": {"1": "DOWN"}},
    namespace="net:[1]",
)
STRANGER = {
    "gpu_uuid": "GPU-1",
    "pid": 409,
    "memory_bytes": 7 * GIB,
    "user": "eve",
    "command": "python3 train.py",
    "session": 409,
    "age_s": 7200.0,
    "mark": None,
}
XID = {"pci": "0000:00:01", "xid": 79, "text": "pid=409, GPU has fallen off the bus.", "age_s": 60.0}


@pytest.fixture
def seen(spec) -> Seen:
    return Seen(spec, spec.head, FACTS, LINKS, weights=WEIGHTS, reading=Reading(GIB, 0.5, direct=True))


def rows(seen, earlier=()):
    checks = judge([*earlier, seen])
    return {check.name: check for check in checks if check.host == seen.host.name}


def with_facts(seen, **changes):
    return replace(seen, facts={**FACTS, **changes})


def with_env(seen, **env):
    host = seen.host.model_copy(update={"env": env})
    return replace(seen, host=host)


def with_spec(seen, **changes):
    return replace(seen, spec=seen.spec.model_copy(update=changes))


def test_a_fit_host(seen):
    checks = rows(seen)
    assert list(checks) == [
        *("python", "disk", "memory", "shared memory", "limits", "clock", "ports", "storage", "address"),
        *("machine", "routes", "gpus", "gpu health", "gpu processes"),
    ]
    assert {check.state for check in checks.values()} == {State.OK}
    assert checks["gpus"].found == "2 x NVIDIA H100 80GB HBM3, driver 580.159.04"
    assert checks["disk"].found == (
        "80 GiB free below /srv/slipway, needs 20 GiB for the environment and 32 GiB for the model"
    )
    assert checks["storage"].found == "30 GiB in /shared/tiny, read at 2.00 GiB/s: about 15 s to copy"
    assert checks["routes"].found == "b by eth0"


SMALL = {"available_bytes": 2 * GIB, "total_bytes": 8 * GIB}
TINY = {"free_bytes": 64 << 20, "total_bytes": 64 << 20}
LIMITS = FACTS["limits"]


@pytest.mark.parametrize(
    ("change", "name", "state", "found", "next_step"),
    [
        ({"commands": {"python3.11": None}}, "python", "FAIL", "python3.11 is not there", "environment.python"),
        ({"disks": {ROOT: disk(51 * GIB), STORE: disk(51 * GIB)}}, "disk", "FAIL", "51 GiB free", "set root"),
        ({"disks": {ROOT: disk(21 * GIB), STORE: disk(33 * GIB, 2)}}, "disk", "ok", "33 GiB free below", ""),
        ({"disks": {ROOT: disk(21 * GIB), STORE: disk(31 * GIB, 2)}}, "disk", "FAIL", "31 GiB free below", STORE),
        ({"disks": {ROOT: disk(0, writable=False), STORE: disk(0)}}, "disk", "FAIL", "not writable", "root"),
        ({"memory": SMALL}, "memory", "FAIL", "2.0 GiB of 8.0 GiB free, 64 CPUs, needs 9.0 GiB", "ps aux"),
        ({"shared_memory": TINY}, "shared memory", "FAIL", "64 MiB", "shm"),
        ({"shared_memory": None}, "shared memory", "FAIL", "there is no /dev/shm", "tmpfs"),
        ({"limits": {**LIMITS, "nofile": {"hard": 1024}}}, "limits", "FAIL", "nofile 1024", "limits.conf"),
        ({"limits": {**LIMITS, "nofile": {"hard": 8192}}}, "limits", "warn", "nofile 8192", "65536"),
        ({"gpus": captured_gpus(1)}, "gpus", "FAIL", "1 GPUs, the file says 2", "nvidia-smi"),
        ({"gpus": [], "gpu_error": "no driver"}, "gpus", "FAIL", "the file says 2: no driver", "nvidia-smi"),
        ({"xids": [XID]}, "gpu health", "FAIL", "Xid 79 of 0000:00:01 60 s ago (pid=409, GPU has fallen", "reset"),
        ({"xids": [{**XID, "age_s": 2e5}]}, "gpu health", "warn", "1 Xid messages", "catalogue"),
        ({"xids": [{**XID, "xid": 13}]}, "gpu health", "warn", "Xid 13", "catalogue"),
        ({"xids": [{**XID, "pci": "0000:00:07"}]}, "gpu health", "ok", "no Xid messages", ""),
        ({"xids": [{**XID, "pci": "0000:00:07"}], "gpus": captured_gpus(1)}, "gpu health", "FAIL", "Xid 79", "reset"),
        ({"xids": None}, "gpu health", "warn", "Xid messages are not known", "/dev/kmsg"),
        (
            {"gpu_processes": [STRANGER]},
            "gpu processes",
            "FAIL",
            "GPU 1: python3 train.py (pid 409, user eve, for 2 hours, 7.0 GiB)",
            "leaves it alone",
        ),
        ({"gpu_processes": [{**STRANGER, "gpu_uuid": "GPU-7"}]}, "gpu processes", "ok", "free", ""),
    ],
)
def test_what_is_wrong_with_a_machine_is_named_with_the_next_step(seen, change, name, state, found, next_step):
    check = rows(with_facts(seen, **change))[name]
    assert check.state == state
    assert found in check.found
    assert next_step in check.next_step


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("ecc_errors", 2, "GPU 1: 2 uncorrected ECC errors"),
        ("remap_pending", True, "GPU 1: a row waits"),
        ("remap_failed", True, "GPU 1: remapping a row has failed"),
    ],
)
def test_a_gpu_with_memory_errors_is_named(seen, key, value, told):
    first, second = captured_gpus(2)
    check = rows(with_facts(seen, gpus=[first, {**second, key: value}]))["gpu health"]
    assert check.state is State.FAIL
    assert told in check.found


def test_gpus_must_be_alike_on_a_host_and_across_hosts(seen):
    first, second = captured_gpus(2)
    assert "they differ" in rows(with_facts(seen, gpus=[first, {**second, "name": "NVIDIA L4"}]))["gpus"].found
    older = [{**gpu, "driver_version": "570.1"} for gpu in (first, second)]
    other = replace(seen, host=seen.spec.workers[0], facts={**FACTS, "gpus": older, "boot_id": "boot-b"})
    check = rows(other, [seen])["gpus"]
    assert check.state is State.FAIL
    assert "driver 570.1, but a has NVIDIA H100 80GB HBM3, driver 580.159.04" in check.found


@pytest.mark.parametrize("change", [{"session": 7}, {"mark": "/srv/slipway/agents/pair.vllm#12"}])
def test_the_deployment_s_own_processes_are_not_foreign(seen, change):
    running = replace(with_facts(seen, gpu_processes=[{**STRANGER, **change}]), own_sessions=frozenset({7}))
    assert rows(running)["gpu processes"].found == "ours alone"


def test_processes_that_cannot_be_told_apart_are_no_fault_while_ours_run(seen):
    hidden = with_facts(seen, gpu_processes=[{**STRANGER, "command": None, "user": None, "age_s": None}])
    assert rows(hidden)["gpu processes"].state is State.FAIL
    assert rows(replace(hidden, own_sessions=frozenset({7})))["gpu processes"].state is State.WARN


@pytest.mark.parametrize(("named", "state"), [("0", "ok"), ("0,1", "FAIL"), ("GPU-0", "ok"), ("GPU-1", "FAIL")])
def test_only_the_gpus_that_the_file_names_count(seen, named, state):
    chosen = with_env(with_facts(seen, gpu_processes=[STRANGER]), CUDA_VISIBLE_DEVICES=named)
    assert rows(chosen)["gpu processes"].state == state


def test_memory_and_shared_memory_that_our_own_server_has_are_not_missing(seen):
    tight = with_facts(seen, memory=SMALL, shared_memory={"free_bytes": 0, "total_bytes": 8 * GIB})
    running = rows(replace(tight, own_sessions=frozenset({7})))
    assert (running["memory"].state, running["shared memory"].state) == (State.OK, State.OK)


def test_what_is_staged_and_made_needs_no_room(seen):
    there = replace(
        with_facts(seen, disks={ROOT: disk(GIB), STORE: disk(GIB)}),
        has_environment=True,
        weights=replace(WEIGHTS, current=True, needed_bytes=0),
    )
    assert rows(there)["disk"].found == "1.0 GiB free below /srv/slipway, nothing more is needed"
    assert rows(there)["storage"].found == "30 GiB staged from /shared/tiny, read at 2.00 GiB/s: about 15 s to load"


def test_locked_memory_matters_where_rdma_is_named(seen):
    tight = with_facts(seen, limits={**LIMITS, "memlock_bytes": {"soft": 8 << 20, "hard": 8 << 20}})
    assert rows(tight)["limits"].state is State.OK
    rdma = with_env(tight, NCCL_IB_HCA="mlx5_0")
    assert rows(rdma)["limits"].found == "nofile 1048576, memlock 8 MiB: RDMA locks more"
    assert rows(with_env(tight, NCCL_IB_HCA="mlx5_0", NCCL_IB_DISABLE="1"))["limits"].state is State.OK
    assert rows(replace(rdma, facts={**rdma.facts, "locks_freely": True}))["limits"].state is State.OK


@pytest.mark.parametrize(("skew_s", "state"), [(0.9, "ok"), (12.0, "warn"), (31.0, "FAIL")])
def test_the_clock(seen, skew_s, state):
    assert rows(replace(seen, skew_s=skew_s))["clock"].state == state


@pytest.mark.parametrize(
    ("change", "state", "found"),
    [
        ({"weights": replace(WEIGHTS, source_exists=False)}, "FAIL", "/shared/tiny is not there"),
        ({"weights": replace(WEIGHTS, problems=("x is short",))}, "FAIL", "no whole model: x is short"),
        ({"weights": None, "fault": "the storage does not answer"}, "FAIL", "/shared/tiny: the storage does not"),
        ({"reading": None, "fault": "permission denied"}, "FAIL", "cannot be read: permission denied"),
        ({"reading": Reading(1 << 20, 10, direct=False)}, "warn", "0.00 GiB/s, perhaps from memory: about 307200 s"),
        ({"reading": Reading(0, 0.1, direct=True)}, "ok", "too small to tell its speed"),
    ],
)
def test_the_storage(seen, change, state, found):
    check = rows(replace(seen, **change))["storage"]
    assert (check.state, bool(check.next_step)) == (state, state != "ok")
    assert found in check.found


B = LINKS.peers[0]


@pytest.mark.parametrize(
    ("change", "name", "state", "found"),
    [
        ({"local": False}, "address", "FAIL", "10.0.0.1 is not on this host; it has 10.0.0.1"),
        ({"peers": [replace(B, local=True)]}, "address", "FAIL", "10.0.0.2, the address of b, is on this host as well"),
        ({"peers": [replace(B, fault="no answer within 3 s")]}, "routes", "FAIL", "b (10.0.0.2): no answer"),
        ({"peers": [replace(B, source="192.168.0.1", interface="eth1")]}, "routes", "warn", "to b by eth1 from 192"),
        ({"peers": [replace(B, source=None, interface=None)]}, "routes", "ok", "b by ?"),
    ],
)
def test_the_network(seen, change, name, state, found):
    check = rows(replace(seen, links=replace(LINKS, **change)))[name]
    assert check.state == state
    assert found in check.found


@pytest.mark.parametrize(
    ("env", "state"),
    [
        ({"NCCL_SOCKET_IFNAME": "eth"}, "ok"),
        ({"NCCL_SOCKET_IFNAME": "=eth"}, "FAIL"),
        ({"NCCL_SOCKET_IFNAME": "=eth0"}, "ok"),
        ({"NCCL_SOCKET_IFNAME": "^lo,docker"}, "ok"),
        ({"NCCL_SOCKET_IFNAME": "^=eth0"}, "warn"),
        ({"NCCL_SOCKET_IFNAME": "ibs108"}, "warn"),
        ({"NCCL_SOCKET_IFNAME": "bond0"}, "FAIL"),
        ({"GLOO_SOCKET_IFNAME": "eth0"}, "ok"),
        ({"GLOO_SOCKET_IFNAME": "eth"}, "FAIL"),
        ({"NCCL_SOCKET_IFNAME": "eth0", "GLOO_SOCKET_IFNAME": "lo"}, "warn"),
    ],
)
def test_interfaces_that_the_file_names(seen, env, state):
    check = rows(with_env(seen, **env))["interfaces"]
    assert check.state == state
    assert state == "ok" or "hosts.env of a" in check.next_step


@pytest.mark.parametrize(
    ("named", "state", "found"),
    [
        ("mlx5_0", "ok", "ACTIVE"),
        ("mlx5_0:1", "ok", "ACTIVE"),
        ("mlx5", "ok", "ACTIVE"),
        ("=mlx5", "FAIL", "no mlx5 below /sys/class/infiniband, there are: mlx5_0, mlx5_1"),
        ("mlx5_0:2", "FAIL", "no mlx5_0:2"),
        ("mlx5_0,mlx5_1", "FAIL", "mlx5_1 is DOWN"),
    ],
)
def test_rdma_devices_that_the_file_names(seen, named, state, found):
    check = rows(with_env(seen, NCCL_IB_HCA=named))["rdma"]
    assert check.state == state
    assert found in check.found


@pytest.mark.parametrize("env", [{"NCCL_IB_HCA": "mlx5_9", "NCCL_IB_DISABLE": "1"}, {"NCCL_IB_HCA": "^mlx5_1"}])
def test_where_no_rdma_device_is_asked_for_there_is_no_row(seen, env):
    assert "rdma" not in rows(with_env(seen, **env))


def test_two_hosts_that_are_one_machine_are_refused(seen):
    other = replace(seen, host=seen.spec.workers[0])
    check = rows(other, [seen])["machine"]
    assert (check.state, check.found) == (State.FAIL, "the same machine as a (a)")
    assert rows(replace(other, links=replace(LINKS, namespace="net:[2]")), [seen])["machine"].state is State.OK
    assert rows(replace(other, facts={**FACTS, "boot_id": "boot-b"}), [seen])["machine"].state is State.OK


def test_a_rehearsal_asks_for_all_but_the_gpus(seen):
    checks = rows(with_spec(with_facts(seen, gpus=[]), rehearsal=True))
    assert {check.state for check in checks.values()} == {State.OK}
    assert not [name for name in checks if name.startswith("gpu")]
    assert "needs 5.0 GiB for the environment" in checks["disk"].found


@pytest.mark.parametrize(
    ("port", "field"),
    [(9000, "serve.port"), (6379, "ray.ports.gcs"), (8265, "ray.ports.dashboard"), (20009, "ray.ports.block")],
)
def test_a_taken_port_is_named_with_its_owner_and_field(seen, port, field):
    check = rows(replace(seen, taken=[TakenPort(port, "nginx -g (pid 7, user www)", 7)]))["ports"]
    assert check.state is State.FAIL
    assert f"{port} is held by nginx -g (pid 7, user www)" in check.found
    assert field in check.next_step


def test_the_port_where_ranks_meet_is_the_head_s(spec, mp):
    assert (20009 in ports(spec, spec.head), 20009 in ports(spec, spec.workers[0])) == (True, False)
    assert ports(mp, mp.head) == [9000, 20009]


def test_the_first_line_is_the_verdict_and_the_rest_is_aligned(seen):
    checks = judge([seen])
    assert verdict(checks) == "fit: 1 host, 14 checks"
    assert verdict(judge([replace(seen, skew_s=5.0)])) == "fit: 1 host, 14 checks, 1 warning"
    broken = judge([replace(seen, skew_s=99.0, taken=[TakenPort(9000, "nginx", 7)])])
    first, heading, *lines = told(broken)
    assert first == "NOT fit: a: clock, ports (2 of 14 checks)"
    assert {line.index(state) for line in lines for state in ("ok  ", "FAIL") if state in line} == {
        heading.index("state")
    }
    assert [line for line in lines if line.endswith("next: set up time synchronisation on both (chrony, timesyncd)")]


def test_what_does_not_fit_is_raised_with_every_fault(seen):
    stored = {"checks": [vars(check) for check in judge([replace(seen, skew_s=99.0)])]}
    with pytest.raises(HostUnfit, match=r"^\[a\] not fit for this .*:\n  \[a\] clock: at least 99.0 s") as caught:
        require_fit(stored)
    assert not caught.value.transient
    assert "chrony" in caught.value.hint
    require_fit({"checks": [vars(check) for check in judge([seen])]})
    assert checks_of({}) == []
