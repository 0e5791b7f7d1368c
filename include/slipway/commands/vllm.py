"""vLLM's own command line: the OpenAI-compatible server on the head, over Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping

from slipway.commands.agent import Role
from slipway.shell import Command
from slipway.spec import DeploymentSpec
from slipway.spec.types import Argument

MODULE = "vllm.entrypoints.openai.api_server"
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""The model is a folder: nothing is looked up on a hub, and no usage is reported."""


def role_name(spec: DeploymentSpec) -> str:
    return f"{spec.name}.vllm"


def role(spec: DeploymentSpec, python: str, model: str, cluster_env: Mapping[str, str]) -> Role:
    """The server as the agent keeps it; ``model`` is the folder of the weights on the hosts.

    ``cluster_env`` are the variables of the Ray cluster that it joins, as the head has them.
    """
    return Role(
        name=role_name(spec),
        steps=(Command(argv=(python, "-m", MODULE, *arguments(spec, model)), env={**QUIET, **cluster_env}),),
        server=True,
        ready_url=f"{spec.endpoint}/health",
        restart=spec.serve.restart,
        ports=(spec.serve.port,),
        labels={"deployment": spec.name},
    )


def arguments(spec: DeploymentSpec, model: str) -> list[str]:
    """The server's argument list: what Slipway decides first, then the file's own ``serve.args`` by name."""
    serve = spec.serve
    own = [
        f"--model={model}",
        f"--served-model-name={serve.model_name}",
        f"--host={serve.host}",
        f"--port={serve.port}",
        f"--tensor-parallel-size={serve.tensor_parallel}",
        f"--pipeline-parallel-size={serve.pipeline_parallel}",
        "--distributed-executor-backend=ray",
        "--load-format=safetensors",
    ]
    return own + [word for name, value in sorted(serve.args.items()) for word in words(name, value)]


def words(name: str, value: Argument) -> list[str]:
    """One argument as the words of a command line: switches bare, lists as several words, objects as JSON."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, list):
        return [f"--{name}", *value]
    if isinstance(value, dict):
        return [f"--{name}={json.dumps(value, sort_keys=True)}"]
    return [f"--{name}={value}"]
