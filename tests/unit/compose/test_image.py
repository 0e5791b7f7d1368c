"""The Dockerfile: everything that it copies is there, and what it installs is the whole package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, " ".join(arguments.split())) for name, arguments in lines]


def arguments(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [given for found, given in instructions if found == name]


def copied(instructions: list[tuple[str, str]]) -> list[str]:
    return [source for line in arguments(instructions, "COPY") for source in line.split()[:-1]]


def test_the_base_is_pinned_and_of_the_python_that_was_resolved_for(instructions: list[tuple[str, str]]) -> None:
    (base,) = arguments(instructions, "FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)
    assert "--python-version 3.11" in (ROOT / "requirements.txt").read_text()


def test_everything_copied_is_there_and_nothing_else_is_sent(instructions: list[tuple[str, str]]) -> None:
    sources = copied(instructions)
    assert all((ROOT / source).exists() for source in sources)
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert rules[1] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(sources)


def test_it_does_not_run_as_root(compose: Any, instructions: list[tuple[str, str]]) -> None:
    assert instructions[-2] == ("USER", "slipway")
    assert "useradd --uid 10001 --gid slipway --create-home slipway" in arguments(instructions, "RUN")[0]
    assert all("user" not in service for service in compose.airflow.values())


def test_airflows_home_is_the_users_own_and_the_volume(compose: Any, instructions: list[tuple[str, str]]) -> None:
    (environment,) = arguments(instructions, "ENV")
    home = dict(each.split("=") for each in environment.split())["AIRFLOW_HOME"]
    made = f"install --directory --owner slipway --group slipway --mode 0750 {home}"
    assert made in arguments(instructions, "RUN")[0]
    assert all(f"airflow:{home}" in service["volumes"] for service in compose.airflow.values())


def test_what_may_be_set_at_build_is_handed_on(compose: Any, instructions: list[tuple[str, str]]) -> None:
    for service in compose.airflow.values():
        assert service["build"] == {"context": ".", "args": arguments(instructions, "ARG")}


def test_the_executors_pins_go_with_the_others() -> None:
    pins = [_pins(name) for name in ("requirements.txt", "requirements-executors.txt")]
    assert {name for name in pins[0].keys() & pins[1].keys() if pins[0][name] != pins[1][name]} == set()
    assert {"celery", "redis", "kubernetes"} <= set(pins[1])


def test_the_image_has_these_very_pins_each_with_its_hashes(instructions: list[tuple[str, str]]) -> None:
    assert "--require-hashes --requirement requirements-image.txt" in arguments(instructions, "RUN")[1]
    assert _pins("requirements-image.txt") == _pins("requirements.txt") | _pins("requirements-executors.txt")
    assert _without_hashes((ROOT / "requirements-image.txt").read_text()) == []


@pytest.mark.parametrize("name", ["requirements-dev.txt", "include/environments/demo-model.txt"])
def test_each_pin_of_the_developers_has_its_hashes(name: str) -> None:
    assert _without_hashes((ROOT / name).read_text()) == []


def test_make_installs_by_hashes_alone() -> None:
    """Its own words for the lines that pip gets: those of every pin, each with its hashes."""
    recipe = (ROOT / "Makefile").read_text()
    installs = [line for line in recipe.splitlines() if " install " in line and " -r " in line]
    assert [line for line in installs if "--require-hashes" not in line] == []
    assert "--require-hashes -r <($(HASHED) requirements.txt requirements-image.txt)" in recipe
    words = re.search(r"^HASHED := (.*)$", recipe, re.MULTILINE)
    assert words
    program = words[1].replace("$$", "$").replace("\\#", "#")
    command = f"{program} requirements.txt requirements-image.txt"
    given = subprocess.run(["bash", "-c", command], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {pin.partition(" ")[0] for pin in _entries(given)} == {
        "==".join(pin) for pin in _pins("requirements.txt").items()
    }
    assert _without_hashes(given) == []


def _entries(locked: str) -> list[str]:
    """Each pin with the lines that belong to it."""
    return [entry for entry in re.split(r"\n(?=\S)", locked.strip()) if not entry.startswith("#")]


def _without_hashes(locked: str) -> list[str]:
    return [entry for entry in _entries(locked) if "--hash=sha256:" not in entry]


def _pins(file: str) -> dict[str, str]:
    lines = [line.partition(" ")[0] for line in (ROOT / file).read_text().splitlines() if "==" in line]
    return dict(line.split("==") for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("name", ["apache-airflow==3.3.2", "locust==", "psycopg==", "psycopg-binary==", "setuptools=="])
def test_what_it_needs_is_pinned(name: str) -> None:
    assert re.search(f"^{re.escape(name)}", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


def test_what_is_installed_is_the_whole_package(instructions: list[tuple[str, str]], tmp_path: Path) -> None:
    context = tmp_path / "context"
    for source in copied(instructions):
        copy(ROOT / source, context / source)
    install = arguments(instructions, "RUN")[-1].split()
    assert install[-3:] == ["--no-deps", "--no-build-isolation", "."]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", f"--wheel-dir={tmp_path}", *install[-3:]]
    subprocess.run(command, cwd=context, check=True, timeout=120, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    package = [path for path in (context / "include" / "slipway").rglob("*") if path.is_file()]
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("slipway/")}
    assert held == {str(path.relative_to(context / "include")) for path in package}


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_it_is_found_by_airflow_once_installed() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert groups["apache_airflow_provider"] == {"provider_info": "slipway.provider:get_provider_info"}
    assert groups["airflow.plugins"] == {"slipway": "slipway.ui.plugin:SlipwayPlugin"}
