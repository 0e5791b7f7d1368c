"""``slipway plan`` of deepseek-r1.yaml against the facts of the deployment that people made by hand."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from slipway.spec import load_deployment
from slipway.spec.environments import argument_faults, environments_folder, load_lock
from slipway.stages.planned import planned

FILE = Path(__file__).parents[3] / "include" / "deployments" / "deepseek-r1.yaml"
HEAD, WORKER = "10.1.4.72", "10.1.4.74"

COLLECTIVES = {
    "GLOO_SOCKET_IFNAME": "ibs108",
    "NCCL_SOCKET_IFNAME": "ibs108",
    "NCCL_IB_HCA": "mlx5_0",
    "NCCL_IB_DISABLE": "0",
    "UCX_NET_DEVICES": "mlx5_0:1",
    "UCX_TLS": "rc,tcp,cuda_copy",
    "UCX_IB_PCI_RELAXED_ORDERING": "on",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}

SERVER = {
    "--model": "/Ds/DeepSeek-R1-0528",
    "--served-model-name": "deepseek-reasoner",
    "--host": "0.0.0.0",
    "--port": "30000",
    "--distributed-executor-backend": "ray",
    "--tensor-parallel-size": "8",
    "--pipeline-parallel-size": "2",
    "--max-model-len": "16384",
    "--max-num-seqs": "512",
    "--max-num-batched-tokens": "40960",
    "--gpu-memory-utilization": "0.9",
    "--dtype": "float16",
    "--block-size": "32",
}

SWITCHES = {
    "--trust-remote-code",
    "--enable-expert-parallel",
    "--enable-prefix-caching",
    "--disable-log-stats",
    "--disable-log-requests",
}


@pytest.fixture(scope="module")
def spec():
    return load_deployment(FILE)


@pytest.fixture(scope="module")
def lock(spec):
    return load_lock(environments_folder(FILE.parent), spec)


@pytest.fixture(scope="module")
def lines(spec, lock):
    """What the agents run, as a shell would read it: by stage and host, variables and words."""
    found = {}
    for stage, action in planned(spec, lock):
        for command in action.starts:
            words = shlex.split(command.line())
            count = next(i for i, word in enumerate(words[1:], 1) if "=" not in word) if words[0] == "env" else 0
            env = dict(word.split("=", 1) for word in words[1:count])
            found[stage, action.host] = (env, words[count:])
    return found


def test_the_head_starts_ray_on_its_own_address(lines):
    env, words = lines["ray_cluster", "node-72"]
    assert {f"--node-ip-address={HEAD}", "--head", "--port=6379", "--num-gpus=8"} <= set(words)
    assert {"VLLM_HOST_IP": HEAD, **COLLECTIVES}.items() <= env.items()


def test_the_worker_joins_with_its_own_address(lines):
    env, words = lines["ray_cluster", "node-74"]
    assert {f"--node-ip-address={WORKER}", f"--address={HEAD}:6379", "--num-gpus=8"} <= set(words)
    assert "--head" not in words
    assert {"VLLM_HOST_IP": WORKER, **COLLECTIVES}.items() <= env.items()


def test_the_network_is_proven_by_all_ranks_with_the_servers_own_variables(spec, lock):
    told = {(stage, action.host): action.command for stage, action in planned(spec, lock)}
    for name, address, first in (("node-72", HEAD, 0), ("node-74", WORKER, 8)):
        command = told["network", name]
        asked = json.loads(command.stdin)
        assert {"VLLM_HOST_IP": address, **COLLECTIVES}.items() <= command.env.items()
        assert (asked["backend"], asked["first"], asked["ranks"], asked["world"]) == ("nccl", first, 8, 16)
        assert asked["store"][0] == HEAD
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert stages[stages.index("network") - 1 :][:3] == ["ray_cluster", "network", "serve"]


def test_vllm_has_every_setting(lines):
    env, words = lines["serve", "node-72"]
    assert words[1:3] == ["-m", "vllm.entrypoints.openai.api_server"]
    assert {"VLLM_HOST_IP": HEAD, "RAY_ADDRESS": f"{HEAD}:6379", **COLLECTIVES}.items() <= env.items()
    assert SERVER.items() <= dict(word.split("=", 1) for word in words if "=" in word).items()
    assert set(words) >= SWITCHES
    assert ("serve", "node-74") not in lines


def test_the_weights_are_served_from_the_shared_storage(lines):
    assert not [key for key in lines if key[0] == "weights"]


def test_smoke(spec):
    assert (spec.smoke.max_tokens, spec.smoke.temperature) == (128, 0.6)
    assert "deepseek-r1" in spec.smoke.prompt


def test_the_load_matrix(spec):
    benchmark = spec.benchmark
    assert [(level.users, level.spawn_rate) for level in benchmark.levels] == [(10, 2), (50, 5), (100, 10), (150, 10)]
    assert [level.processes for level in benchmark.levels[:3]] == [8, 12, 16]
    assert (benchmark.seconds, benchmark.prompt_tokens, benchmark.output_tokens) == (180, 32, 64)


def test_the_pinned_vllm_takes_every_argument(spec, lock):
    folder = environments_folder(FILE.parent)
    assert list(argument_faults(folder, spec, lock)) == []
    args = {**spec.serve.args, "swap-space": 32, "max-modl-len": 7, "dtype": "half16", "max-model-len": True}
    wrong = spec.model_copy(update={"serve": spec.serve.model_copy(update={"args": args})})
    faults = "\n".join(argument_faults(folder, wrong, lock))
    assert "serve.args.swap-space: vLLM 0.33.0 has no --swap-space: " in faults
    assert "serve.args.max-modl-len: vLLM 0.33.0 has no --max-modl-len, did you mean --max-model-len?" in faults
    assert "serve.args.dtype: 'half16' is none of auto" in faults
    assert "serve.args.max-model-len: takes no bare true" in faults
