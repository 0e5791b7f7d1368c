from __future__ import annotations

from pathlib import Path

import pytest

from slipway.spec import DeploymentSpec, parse_deployment

TWO_HOSTS = """
version: 1
name: pair
root: /srv/slipway
hosts:
  - {name: a, connection: ssh_a, address: 10.0.0.1, gpus: 2}
  - {name: b, connection: ssh_b, address: 10.0.0.2, gpus: 2}
environment: {lock: cpu, python: python3.11, fallback_indexes: ["https://wheels.example/simple"]}
weights: {source: /shared/tiny, name: tiny}
serve: {model_name: tiny, port: 9000, tensor_parallel: 4, args: {max-num-seqs: 8}}
smoke: {question: {ask: Capital of France?, expect: Paris}}
benchmark: {levels: [{users: 1}]}
"""


@pytest.fixture
def spec() -> DeploymentSpec:
    return parse_deployment(TWO_HOSTS, origin="pair.yaml", base=Path("/"))


@pytest.fixture
def mp(spec: DeploymentSpec) -> DeploymentSpec:
    """The same over vLLM's own processes."""
    return spec.model_copy(update={"serve": spec.serve.model_copy(update={"backend": "mp"})})
