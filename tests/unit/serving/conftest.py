"""The programs of ``slipway.serving`` are run as they are on a host: as source text, by an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of stand-ins, before everything else on the program's path."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def run(site: Path) -> Run:
    def call(
        program: str, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        source = (files("slipway") / "serving" / f"{program}.py").read_text()
        argv: Sequence[str] = (sys.executable, "-S", "-c", source, *arguments)
        own = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", **(env or {})}
        return subprocess.run(argv, input=stdin, env=own, capture_output=True, text=True, timeout=30, check=False)

    return call
