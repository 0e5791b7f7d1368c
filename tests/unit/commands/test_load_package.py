"""What travels to another host that makes load: enough to import, and pins that are those of this machine."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from slipway.commands import load_package
from slipway.spec.judging import LoadWorkerSpec

ROOT = Path(__file__).parents[3]
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
WORKER = LoadWorkerSpec(name="load-2", connection="load_2", address="10.0.0.7")


def test_locust_finds_its_users_in_it(tmp_path: Path) -> None:
    archive = tmp_path / "loadgen.zip"
    archive.write_bytes(load_package.archive())
    (tmp_path / "mine.py").write_text(load_package.LOCUSTFILE)
    argv = [sys.executable, "-m", "locust", "-f", "mine.py", "--list", "--load-plan", "/nowhere"]
    env = {"PYTHONPATH": str(archive), "PATH": ""}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "cannot read the load plan /nowhere" in done.stderr
    program = "import slipway.loadgen.locustfile as it; print(it.__file__, it.StreamingUser.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{archive}/slipway/loadgen/locustfile.py StreamingUser\n"


def test_the_same_sources_are_the_same_bytes() -> None:
    first = load_package.archive()
    load_package.archive.cache_clear()
    assert load_package.archive() == first


def test_the_pins_are_those_of_this_machines_environment() -> None:
    ours = dict(PIN.findall((ROOT / "requirements.txt").read_text()))
    worker = dict(PIN.findall((ROOT / "include/slipway/loadgen/requirements.txt").read_text()))
    assert {"locust", "gevent", "httpx", "pydantic", "psutil"} <= worker.keys()
    assert worker.items() <= ours.items()


def test_the_pins_are_shipped_with_the_package() -> None:
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert any(fnmatch("requirements.txt", pattern) for pattern in shipped["slipway.loadgen"])


def test_an_environment_is_made_with_hashes_and_shown_when_it_is_whole() -> None:
    role = load_package.build("/srv", WORKER, "/wheels")
    make, install, show = role.steps
    place = load_package.python("/srv", WORKER).removesuffix("/bin/python")
    assert role.name == f"environment.{Path(place).name}"
    assert make.argv == ("python3.11", "-m", "venv", "--clear", f"{place}.files")
    assert {"--no-index", "--find-links=/wheels", "--require-hashes", "--no-deps"} <= set(install.argv)
    assert install.argv[-2:] == ("-r", f"{place}.lock.txt")
    assert show.argv == ("ln", "-sfnT", f"{place}.files", place)
    assert load_package.write_requirements("/srv", WORKER).argv[3] == f"{place}.lock.txt"


def test_an_existing_interpreter_is_taken_as_it_is() -> None:
    assert load_package.python("/srv", WORKER.model_copy(update={"existing": "/opt/bin/python"})) == "/opt/bin/python"


@pytest.mark.parametrize("path", [load_package.path("/srv"), load_package.locustfile("/srv")])
def test_all_of_it_lies_with_slipways_programs(path: str) -> None:
    assert re.fullmatch(r"/srv/kit/loadgen-[0-9a-f]{12}\.(zip|py)", path)
