"""The network proof on one machine with two GPUs: as one host, and as two hosts of one GPU each.

    PYTHONPATH=include python benchmarks/gpu/network_proof.py PYTHON

PYTHON is an interpreter that has torch with NCCL. Each line is what the stage ``network`` finds, or how it fails.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from slipway.errors import SlipwayError
from slipway.hosts import LocalHost
from slipway.results.network import told
from slipway.spec import parse_deployment
from slipway.stages import network
from slipway.stages.site import Site

DEPLOYMENT = """
version: 1
name: proof
hosts: {hosts}
env: {env}
environment: {{existing: {python}}}
weights: {{source: /nowhere, name: none}}
serve: {{model_name: none, tensor_parallel: 2}}
benchmark: {{levels: [{{users: 1}}]}}
"""
QUIET = {
    "NCCL_NVLS_ENABLE": "0",
    "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1",
    "NVSHMEM_DISABLE_NVLS": "1",
    "NCCL_SOCKET_IFNAME": "lo",
    "GLOO_SOCKET_IFNAME": "lo",
}
"""No NVLink multicast, and loopback for what is no GPU traffic."""
ONE = [{"name": "gpu", "address": "127.0.0.2", "gpus": 2}]


def two(second_gpu: str) -> list[dict[str, object]]:
    """One GPU each, told apart by NCCL_HOSTID as two machines are."""
    given = (("a", "127.0.0.2", "0"), ("b", "127.0.0.3", second_gpu))
    return [
        {"name": name, "address": address, "gpus": 1, "env": {"CUDA_VISIBLE_DEVICES": gpu, "NCCL_HOSTID": name}}
        for name, address, gpu in given
    ]


SOCKETS = {"NCCL_IB_DISABLE": "1"}
CASES: dict[str, tuple[list[dict[str, object]], dict[str, str]]] = {
    "one host, two GPUs": (ONE, {}),
    "one host, two GPUs, again": (ONE, {}),
    "one host, no P2P": (ONE, {"NCCL_P2P_DISABLE": "1"}),
    "two hosts of one GPU": (two("1"), SOCKETS),
    "two hosts of one GPU, again": (two("1"), SOCKETS),
    "no such interface": (two("1"), {**SOCKETS, "NCCL_SOCKET_IFNAME": "ibs108"}),
    "one GPU given twice": (two("0"), SOCKETS),
}


def found(python: str, hosts: list[dict[str, object]], env: dict[str, str]) -> str:
    text = DEPLOYMENT.format(hosts=json.dumps(hosts), env=json.dumps({**QUIET, **env}), python=python)
    spec = parse_deployment(text, origin="proof.yaml", base=Path.cwd())
    site = Site(spec, {host.name: LocalHost(host.name) for host in spec.hosts})
    try:
        return told(network.prove(site).data())
    except SlipwayError as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    for name, (hosts, env) in CASES.items():
        began = time.monotonic()
        answer = found(sys.argv[1], hosts, env)
        print(f"{name} ({time.monotonic() - began:.1f} s): {answer}", flush=True)


if __name__ == "__main__":
    main()
