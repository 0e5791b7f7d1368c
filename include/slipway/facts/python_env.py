"""The serving environment on a host: whether it is there, and what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from slipway.commands import python_env
from slipway.errors import HostUnfit
from slipway.hosts import Host, checked
from slipway.shell import Command


def present(host: Host, interpreter: str) -> bool:
    """Whether the interpreter is there: an environment shows under its name only when it is whole."""
    return host.run(Command(("test", "-x", interpreter))).ok


def versions(host: Host, interpreter: str) -> Mapping[str, Any]:
    """Python, vllm, ray, torch and so on, as installed there."""
    result = checked(
        host.run(python_env.program(interpreter, "versions", timeout_s=120)),
        hint="is `environment.existing` the interpreter of an environment with vllm and ray?",
    )
    found: Mapping[str, Any] = json.loads(result.stdout)
    missing = [name for name in ("vllm", "ray", "torch") if not found.get(name)]
    if missing:
        raise HostUnfit(host.name, f"{interpreter} lacks {', '.join(missing)}", hint="add it to the lock file")
    return found
