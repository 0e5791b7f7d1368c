"""The parts of the deployment file that say how a model is served: the Ray cluster and the vLLM server."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from slipway.spec.part import Argument, ArgumentName, EnvName, Part, Port, Seconds

OWN_ARGUMENTS = {
    "model": "weights",
    "served-model-name": "serve.model_name",
    "host": "serve.host",
    "port": "serve.port",
    "tensor-parallel-size": "serve.tensor_parallel",
    "pipeline-parallel-size": "serve.pipeline_parallel",
    "distributed-executor-backend": "serve.backend",
    "nnodes": "serve.backend",
    "node-rank": "serve.backend",
    "master-addr": "serve.backend",
    "master-port": "ray.ports.block",
    "headless": "serve.backend",
    "shutdown-timeout": "serve.drain_s",
    "load-format": "(always safetensors)",
    "api-key": "serve.api_key_connection",
}
"""vLLM arguments that other fields of the file decide, and which."""

DENIED_ARGUMENTS = {
    "middleware": "it loads code by name",
    "worker-cls": "it loads code by name",
    "worker-extension-cls": "it loads code by name",
    "scheduler-cls": "it loads code by name",
    "logits-processors": "it loads code by name",
    "io-processor-plugin": "it loads code by name",
    "tool-parser-plugin": "it loads code from a file",
    "reasoning-parser-plugin": "it loads code from a file",
    "config": "its file could hold any other argument",
    "allowed-local-media-path": "requests could read files of the host",
    "trust-request-chat-template": "requests could bring templates of their own",
    "hf-token": "a secret must not stand on a command line",
    "uds": "the server must listen on serve.host and serve.port",
    "grpc": "the server must speak HTTP",
}
"""vLLM arguments that are refused, and why."""

KEY_VARIABLE = "VLLM_API_KEY"
"""The variable by which vLLM has its API key, and by which the load generator has it."""

TRUSTS_CODE = "trust-remote-code"
"""The argument of vLLM that runs Python files of the model."""

WHOLE_NAMES = ("reasoning-parser",)
"""Arguments that are no abbreviation, though a longer one begins like them."""


def refusal(name: str) -> str:
    """Why an argument of vLLM may not be given by its name; empty for one that may."""
    if name in OWN_ARGUMENTS:
        return f"not here, `{OWN_ARGUMENTS[name]}` decides it"
    if name in DENIED_ARGUMENTS:
        return f"denied, {DENIED_ARGUMENTS[name]}"
    long = _abbreviated(name)
    return f"vLLM would take it for --{long}; write names in full" if long else ""


def _abbreviated(name: str) -> str:
    """The guarded argument that vLLM's parser would read this name as, if any."""
    guarded = (*OWN_ARGUMENTS, *DENIED_ARGUMENTS, TRUSTS_CODE)
    return next((long for long in guarded if name != long and long.startswith(name) and name not in WHOLE_NAMES), "")


class RayPorts(Part):
    """All ports of the Ray cluster, pinned: the same on each host."""

    gcs: Port = 6379
    """The head's port (GCS), which workers and vLLM connect to."""
    dashboard: Port = 8265
    """Ray's dashboard on the head."""
    block: Port = 20000
    """First of the ten ports for Ray's other services on each host."""
    workers: Port = 20100
    """First port for Ray's worker processes."""
    workers_count: int = Field(default=200, ge=32, le=10000)
    """How many ports Ray's worker processes may take, from `workers` on."""

    @model_validator(mode="after")
    def _no_overlap(self) -> RayPorts:
        worker_ports = range(self.workers, self.workers + self.workers_count)
        fixed = [self.gcs, self.dashboard, *range(self.block, self.block + 10)]
        clashing = sorted(port for port in fixed if port in worker_ports)
        if clashing or len(set(fixed)) != len(fixed):
            raise ValueError(f"Ray's ports overlap: {clashing or fixed}; move `gcs`, `dashboard`, `block` or `workers`")
        if worker_ports[-1] > 65535:
            raise ValueError("`workers` + `workers_count` goes past port 65535")
        return self


class RaySpec(Part):
    """The Ray cluster under vLLM: this deployment's own, apart from any other Ray on the hosts."""

    ports: RayPorts = RayPorts()
    """Ports, the same on each host."""
    dashboard_host: str = "127.0.0.1"
    """The address on the head that the dashboard listens on."""
    object_store_bytes: int = Field(default=1 << 30, ge=80 << 20)
    """Size of Ray's object store on each host. vLLM hardly uses it."""
    temp_dir: str | None = None
    """Ray's folder for its sockets and logs, 40 characters at most; by default below `root`, or below /tmp where that
    is longer."""
    timeout_s: Seconds = 60
    """How long the cluster may take until Ray itself reports every host and GPU."""


class ServeSpec(Part):
    """The OpenAI-compatible vLLM server, started on the head."""

    model_name: str = Field(min_length=1)
    """The name that clients ask for."""
    host: str = "127.0.0.1"
    """The address on the head that the server listens on."""
    port: Port = 8000
    """The port that the server listens on."""
    backend: Literal["ray", "mp"] = "ray"
    """What joins the hosts: `ray`, a Ray cluster of this deployment's own; or `mp`, vLLM's own multi-node, which starts
    a part of the server on every host and no Ray. With `mp` over several hosts the parts meet at the head's port
    `ray.ports.block` + 9; each host has the same number of GPUs and gives them all; and `restart` only ends
    a server that hangs, since a part that died cannot join again: the next deploy starts them all."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs that share each layer."""
    pipeline_parallel: int = Field(default=1, ge=1)
    """Groups of layers, one after the other."""
    args: dict[ArgumentName, Argument] = Field(default_factory=dict)
    """Further arguments of `vllm serve`, by long name without dashes: `max-model-len: 16384`. `true` gives the bare
    switch, `false` its `--no-` form. That vLLM's own parser checks them before a server is stopped for them."""
    env: dict[EnvName, str] = Field(default_factory=dict)
    """Variables for vLLM and its workers on every host."""
    api_key_connection: str | None = None
    """An Airflow connection whose password is the API key that clients must send, as vLLM's own `--api-key`: at least 8
    letters, digits or signs, no space. It lies in a file on the head (mode 0600) and on no command line. Another key
    there restarts the server at the next deploy. Without it whoever reaches the server may ask it."""
    ready_timeout_s: Seconds = 1800
    """How long the server may take until it answers a completion."""
    no_progress_s: Seconds = 300
    """How long a server that starts may stand still before it is given up: no new line in its log, and none of its
    processes computes, reads or takes GPU memory. A load that is silent but reads does not stand still."""
    drain_s: int = Field(default=5, ge=0, le=120)
    """How long a server that is told to stop may still work on the requests that it has; it takes no new ones, and ends
    what is left after that. vLLM's own `--shutdown-timeout`, which is left out where this is 0."""
    restart: bool = True
    """Whether the agent on the host starts a server again that was ready and died unasked, 3 times in 10 minutes at
    most, and only for causes where that helps. It also asks whether the engine works: one that hangs counts as dead."""

    @model_validator(mode="after")
    def _arguments(self) -> ServeSpec:
        for name in self.args:
            if why := refusal(name):
                raise ValueError(f"args.{name}: {why}")
        return self
