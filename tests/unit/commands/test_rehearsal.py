"""The wheel of the rehearsal platform plugin: a real pip installs it, with the entry point that vLLM looks for."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from slipway.commands.rehearsal import WHEEL_NAME, wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the wheel into, without a network."""
    folder = tmp_path_factory.mktemp("rehearsal")
    (folder / WHEEL_NAME).write_bytes(wheel())
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", folder / "site", folder / WHEEL_NAME], check=True, capture_output=True)
    return folder / "site"


def test_the_same_sources_give_the_same_bytes() -> None:
    entries = zipfile.ZipFile(io.BytesIO(wheel())).infolist()
    assert wheel() == wheel()
    assert {(entry.date_time, entry.external_attr >> 16, entry.compress_type) for entry in entries} == {
        ((1980, 1, 1, 0, 0, 0), 0o100644, zipfile.ZIP_STORED)
    }


def test_the_record_lists_every_file_with_its_digest_and_size() -> None:
    archive = zipfile.ZipFile(io.BytesIO(wheel()))
    record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
    rows = {name: (digest, size) for name, digest, size in csv.reader(io.StringIO(archive.read(record).decode()))}
    assert rows.pop(record) == ("", "")
    assert rows.keys() == set(archive.namelist()) - {record}
    for name, (digest, size) in rows.items():
        data = archive.read(name)
        assert int(size) == len(data)
        assert digest == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def test_pip_installs_it_with_the_entry_point_that_vllm_looks_for(installed: Path) -> None:
    [plugin] = metadata.distributions(path=[str(installed)])
    [entry] = plugin.entry_points
    assert (entry.group, entry.value) == ("vllm.platform_plugins", "slipway_rehearsal:register")
    assert plugin.requires is None


FAKE_VLLM = """
def cpu_platform_plugin():
    return {answer}
"""
FAKE_CPU = """
class CpuPlatform:
    device_type = "cpu"
    ray_device_key = ""
"""


def ask(installed: Path, folder: Path, answer: str, program: str) -> str:
    """Run a program beside the plugin and a stand-in for the two things of vLLM that it uses."""
    platforms = folder / "vllm" / "platforms"
    platforms.mkdir(parents=True)
    (folder / "vllm" / "__init__.py").touch()
    (platforms / "__init__.py").write_text(FAKE_VLLM.format(answer=answer))
    (platforms / "cpu.py").write_text(FAKE_CPU)
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, env={"PYTHONPATH": f"{installed}:{folder}"}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_where_vllm_was_built_for_cpu_ray_may_place_workers_by_gpu(installed: Path, tmp_path: Path) -> None:
    program = """
import importlib, slipway_rehearsal
module, _, name = slipway_rehearsal.register().rpartition(".")
platform = getattr(importlib.import_module(module), name)
print(platform.ray_device_key, platform.device_type)
"""
    assert ask(installed, tmp_path, '"vllm.platforms.cpu.CpuPlatform"', program) == "GPU cpu"


def test_any_other_build_of_vllm_is_left_alone(installed: Path, tmp_path: Path) -> None:
    assert ask(installed, tmp_path, "None", "import slipway_rehearsal; print(slipway_rehearsal.register())") == "None"
