"""vLLM's own command line: the OpenAI-compatible server on the head, over Ray or over vLLM's own processes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from slipway.commands.agent import Role
from slipway.shell import Command
from slipway.spec import DeploymentSpec, HostSpec, Layout
from slipway.spec.part import Argument

MODULE = "vllm.entrypoints.openai.api_server"
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""The model is a folder: nothing is looked up on a hub, and no usage is reported."""

MEETING_PORT = 9
"""The last port of the deployment's block: where the ranks of the network proof find each other, and with backend mp
then the parts of the server."""


def role_name(spec: DeploymentSpec, host: HostSpec | None = None) -> str:
    """The server's role on the head, which is meant without a host; or that of its part on another host."""
    return f"{spec.name}.vllm" if host in (None, spec.head) else f"{spec.name}.vllm-worker"


def hosts(spec: DeploymentSpec) -> tuple[HostSpec, ...]:
    """The hosts on which a role of the server runs. Under Ray, Ray starts what else there is."""
    return spec.hosts if spec.serve.backend == "mp" else (spec.head,)


def role(
    spec: DeploymentSpec, host: HostSpec, program: tuple[str, ...], model: str, variables: Mapping[str, str]
) -> Role:
    """One part as the agent keeps it: the head's ``program`` serves the API, that of another host does not.

    ``model`` is the folder of the weights on the hosts. Of several parts none is started again alone: the others would
    not know it.
    """
    return Role(
        name=role_name(spec, host),
        steps=(Command(argv=(*program, *arguments(spec, model, host)), env={**QUIET, **variables}),),
        server=True,
        env_file=spec.key_file if host == spec.head else None,
        ready_url=f"{spec.endpoint}/health" if host == spec.head else None,
        restart=spec.serve.restart and len(hosts(spec)) == 1,
        drain_s=spec.serve.drain_s,
        ports=ports(spec, host),
        labels={"deployment": spec.name},
    )


def env(spec: DeploymentSpec, host: HostSpec) -> dict[str, str]:
    """Variables of one part where there is no Ray whose variables it takes."""
    return {
        "VLLM_HOST_IP": host.address,
        "VLLM_CACHE_ROOT": Layout(spec.root).caches,
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        **spec.env_of(host),
    }


def ports(spec: DeploymentSpec, host: HostSpec) -> tuple[int, ...]:
    """The ports that must be free on one host."""
    if host != spec.head:
        return ()
    return (spec.serve.port, meeting_port(spec)) if len(hosts(spec)) > 1 else (spec.serve.port,)


def meeting_port(spec: DeploymentSpec) -> int:
    return spec.ray.ports.block + MEETING_PORT


def arguments(spec: DeploymentSpec, model: str, host: HostSpec) -> list[str]:
    """A part's argument list: what Slipway decides first, then the file's own ``serve.args`` by name."""
    serve = spec.serve
    own = [
        f"--model={model}",
        f"--served-model-name={serve.model_name}",
        f"--host={serve.host}",
        f"--port={serve.port}",
        f"--tensor-parallel-size={serve.tensor_parallel}",
        f"--pipeline-parallel-size={serve.pipeline_parallel}",
        f"--distributed-executor-backend={serve.backend}",
        "--load-format=safetensors",
        *([f"--shutdown-timeout={serve.drain_s}"] if serve.drain_s else []),
        *_place(spec, host),
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


def _place(spec: DeploymentSpec, host: HostSpec) -> list[str]:
    """A part's place among the others; nothing where there is one part."""
    parts = hosts(spec)
    if len(parts) == 1:
        return []
    return [
        f"--nnodes={len(parts)}",
        f"--node-rank={parts.index(host)}",
        f"--master-addr={spec.head.address}",
        f"--master-port={meeting_port(spec)}",
        *([] if host == spec.head else ["--headless"]),
    ]
