"""Ray's own command line: one cluster a deployment, every port pinned, token authentication on."""

from __future__ import annotations

from slipway.commands.agent import Role
from slipway.shell import Command
from slipway.spec import DeploymentSpec, HostSpec, Layout

BLOCK_FLAGS = (
    "node-manager-port",
    "object-manager-port",
    "runtime-env-agent-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "ray-client-server-port",
)
"""Flags that take one port each from the deployment's block, in this order. The last is for the head only. The port
behind them is the dashboard's own metrics, which no flag moves; the autoscaler, which has one too, is left out."""


def role_name(spec: DeploymentSpec, host: HostSpec) -> str:
    return f"{spec.name}.ray-head" if host == spec.head else f"{spec.name}.ray-worker"


def role(spec: DeploymentSpec, host: HostSpec, python: str) -> Role:
    """Ray on one host, in the foreground of a session of its own (``--block``), kept by the agent."""
    return Role(
        name=role_name(spec, host),
        steps=(Command(argv=(python, "-m", "ray.scripts.scripts", "start", *_flags(spec, host)), env=env(spec, host)),),
        server=True,
        ports=ports(spec, host),
    )


def address(spec: DeploymentSpec) -> str:
    return f"{spec.head.address}:{spec.ray.ports.gcs}"


def env(spec: DeploymentSpec, host: HostSpec) -> dict[str, str]:
    """Variables of Ray and all its workers on one host. Worker processes of vLLM inherit them from here."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": Layout(spec.root).ray_token(spec.name),
        "RAY_USAGE_STATS_ENABLED": "0",
        "DASHBOARD_METRIC_PORT": str(spec.ray.ports.block + len(BLOCK_FLAGS)),
        "VLLM_HOST_IP": host.address,
        "VLLM_CACHE_ROOT": Layout(spec.root).caches,
        **spec.env_of(host),
    }


def client_env(spec: DeploymentSpec, host: HostSpec | None = None) -> dict[str, str]:
    """Variables of a program on a host, by default the head, that uses the cluster."""
    return {**env(spec, host or spec.head), "RAY_ADDRESS": address(spec)}


def ports(spec: DeploymentSpec, host: HostSpec) -> tuple[int, ...]:
    """The ports that must be free on one host; worker processes' ports are apart. None where Ray is not used."""
    own = spec.ray.ports
    if spec.serve.backend != "ray":
        return ()
    if host == spec.head:
        return (own.gcs, own.dashboard, *range(own.block, own.block + len(BLOCK_FLAGS) + 1))
    return tuple(range(own.block, own.block + len(BLOCK_FLAGS) - 1))


def _flags(spec: DeploymentSpec, host: HostSpec) -> list[str]:
    own = spec.ray.ports
    joined = _head_flags(spec) if host == spec.head else [f"--address={address(spec)}"]
    block = BLOCK_FLAGS if host == spec.head else BLOCK_FLAGS[:-1]
    return [
        *joined,
        "--block",
        f"--node-name={host.name}",
        f"--node-ip-address={host.address}",
        f"--num-gpus={host.gpus}",
        f"--object-store-memory={spec.ray.object_store_bytes}",
        f"--temp-dir={spec.ray.temp_dir or Layout(spec.root).ray_temp_dir(spec.name)}",
        *(f"--{flag}={own.block + offset}" for offset, flag in enumerate(block)),
        f"--min-worker-port={own.workers}",
        f"--max-worker-port={own.workers + own.workers_count - 1}",
        "--disable-usage-stats",
        "--no-monitor",
    ]


def _head_flags(spec: DeploymentSpec) -> list[str]:
    return [
        "--head",
        f"--port={spec.ray.ports.gcs}",
        f"--dashboard-host={spec.ray.dashboard_host}",
        f"--dashboard-port={spec.ray.ports.dashboard}",
    ]
