"""What a host can tell of a deployment that failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from slipway.commands import kit
from slipway.shell import Command
from slipway.spec import DeploymentSpec, Layout

SECONDS = 15.0
"""What the host may take; looking at everything takes it some 2 s, and a driver that hangs 4 s more."""


def collect(spec: DeploymentSpec, ports: Iterable[int], variables: Mapping[str, str], since: float) -> Command:
    """Logs, processes, kernel, GPUs, disks, ``ports`` and what the server's ``variables`` are, each bounded.

    Secrets are struck out on the host. ``since`` is in seconds since 1970.
    """
    layout = Layout(spec.root)
    folder = ray_folder(spec)
    request = {
        "folder": layout.agents,
        "deployment": spec.name,
        "ray_folder": folder,
        "token_file": layout.ray_token(spec.name),
        "key_file": layout.api_key(spec.name),
        "paths": _paths(spec, folder),
        "ports": [{"port": port} for port in ports],
        "variables": dict(variables),
        "since": since,
    }
    return kit.call(spec.root, "evidence", "collect", request, timeout_s=SECONDS)


def ray_folder(spec: DeploymentSpec) -> str:
    return spec.ray.temp_dir or Layout(spec.root).ray_temp_dir(spec.name)


def _paths(spec: DeploymentSpec, folder: str) -> Sequence[str]:
    return [spec.root, folder, "/tmp", "/dev/shm"]  # noqa: S108 - looked at, not written to
