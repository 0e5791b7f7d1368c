"""Variables that nobody else may see, in a file of mode 0600: of a process, or as a key that a request is sent with."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from slipway.remote.refusal import Refused
from slipway.remote.request import Request


def secret_variables(path: Path) -> dict[str, str]:
    """A JSON object of variables. Raises Refused where others may read the file, OSError where it cannot be read."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Refused(f"env_file: {path} can be read by others; its mode must be 0600")
    try:
        values = json.loads(path.read_bytes())
    except ValueError as error:
        raise Refused(f"env_file: {path} is not JSON") from error
    return Request({"env_file": values}).variables("env_file")
