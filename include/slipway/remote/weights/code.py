"""The Python files of a model, which vLLM runs where it is told to trust them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from slipway.remote.refusal import refusing
from slipway.remote.request import Request
from slipway.remote.weights.asking import path_of
from slipway.remote.weights.listing import list_folder


def code(request: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """``files``: the SHA-256 of each Python file below ``path``, by its name there."""
    folder = path_of(Request(request), "path")
    with refusing(f"reading the Python files of {folder}"):
        names = sorted(file.name for file in list_folder(folder).files if file.name.endswith((".py", ".pyc", ".so")))
        return {"files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}}
