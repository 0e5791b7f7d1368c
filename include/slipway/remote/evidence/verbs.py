"""The program ``evidence``: everything about one deployment on this host, bounded, without secrets. Changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from slipway.remote.agent.role import Role, folder_of, roles_in
from slipway.remote.agent.standing import status
from slipway.remote.evidence.logs import Log, ray_logs, role_logs, tail
from slipway.remote.evidence.secrets import SHORTEST, secret_values, struck, struck_argv, struck_env
from slipway.remote.evidence.system import environment_of, kernel_lines, nvidia_smi, processes
from slipway.remote.probe.machine import disk
from slipway.remote.probe.ports import port
from slipway.remote.refusal import Refused
from slipway.remote.request import Request
from slipway.remote.secret_variables import secret_variables

FILE_BYTES = 1 << 18
WHOLE_BYTES = 4 << 20


def collect(request: Request) -> dict[str, Any]:
    """``files`` by name, each at most ``file_bytes``, all together 4 MiB at most; later ones are ``left_out``.

    ``deployment`` says whose roles, ``variables`` what its server is given, ``ray_folder`` where its Ray writes,
    ``token_file`` and ``key_file`` what must not be shown, ``since`` (seconds since 1970) how old a
    line of the kernel or a log of Ray may be.
    """
    roles = [role for role in roles_in(folder_of(request)) if role.name.startswith(f"{request.text('deployment')}.")]
    values = _secret_values(request, roles)
    files: dict[str, str] = {}
    left_out: list[str] = []
    room = WHOLE_BYTES
    for name, text in _logs(request, roles):
        shown = struck(text, values)
        if len(shown) > room:
            left_out.append(name)
            continue
        files[name], room = shown, room - len(shown)
    return {"files": files, "left_out": left_out}


def _logs(request: Request, roles: list[Role]) -> Iterator[Log]:
    """Small things first: they must not be left out."""
    limit = request.integer("file_bytes", FILE_BYTES, low=1024, high=1 << 20)
    since = request.number("since", 0.0, high=1e12)
    lines, error = kernel_lines(since, time.time())
    yield (
        "kernel.txt",
        "".join(f"{line}\n" for line in lines[-200:]) or f"{error or 'nothing of memory, GPUs, disks'}\n",
    )
    yield "nvidia-smi.txt", nvidia_smi()
    yield "roles.json", _json([_shown(status(role)) for role in roles])
    yield "processes.json", _json(processes(roles))
    yield "variables.json", _json(struck_env(request.variables("variables")))
    yield "disks.json", _json({path: disk(Path(path)) for path in request.texts("paths")})
    yield "memory.txt", tail(Path("/proc/meminfo"), limit)
    yield "ports.json", _json([port(part) for part in request.parts("ports")])
    yield from role_logs(roles, limit)
    yield from ray_logs(Path(request.text("ray_folder")), since, limit)


def _shown(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "argv": struck_argv(state["argv"])}


def _secret_values(request: Request, roles: list[Role]) -> set[str]:
    """The deployment's token and key, and what the living processes have in variables that are named like secrets."""
    token = tail(Path(request.text("token_file")), 4096).strip()
    own = {token} if len(token) >= SHORTEST else set()
    if key_file := request.optional_text("key_file"):
        own |= _key_values(Path(key_file))
    sessions = [(role.state() or {}).get("session") for role in roles]
    return own.union(*(secret_values(environment_of(session)) for session in sessions if session))


def _key_values(path: Path) -> set[str]:
    try:
        return secret_values(secret_variables(path))
    except (OSError, Refused):
        return set()


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


VERBS: Mapping[str, Callable[[Request], dict[str, Any]]] = {"collect": collect}
