from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from slipway.cli import bundle as cli_bundle
from slipway.cli import main
from slipway.cli.bundle import INSTALLER, Target, download, pack, target_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environment", "target"), [("cuda", Target("3.12", 31)), ("cpu", Target("3.11", 31))], ids=["cuda", "cpu"]
)
def test_a_lock_file_says_what_its_wheels_are_for(environment, target):
    lock = (ROOT / "include" / "environments" / f"{environment}.txt").read_text()
    assert target_of(lock, "3.13") == target


def test_a_lock_file_that_does_not_say_is_for_the_python_that_was_asked_for():
    assert target_of("vllm==1.0\n", "3.13") == Target("3.13")


def test_wheels_are_chosen_for_the_other_machine_and_never_built():
    argv = download(Path("requirements.txt"), Path("wheels"), Target("3.12", 28)).argv
    assert {"--only-binary=:all:", "--python-version=3.12", "--platform=manylinux_2_28_x86_64", "--no-deps"} <= {*argv}
    assert "--platform=manylinux_2_31_x86_64" not in argv


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with what travels and what must not."""
    folder = tmp_path / "project"
    for name in ("include/slipway/__pycache__", "dags", "tests/testbed", ".slipway/secrets"):
        (folder / name).mkdir(parents=True)
    kept = ("requirements.txt", "dags/deploy.py", "tests/testbed/hosts.py")
    for name in (*kept, "tests/testbed/faults.py", "include/slipway/__pycache__/x.pyc", ".slipway/secrets/key"):
        (folder / name).write_text(name)
    return folder


def test_the_bundle_holds_project_wheels_and_installer_and_no_secret(project, tmp_path):
    made = tmp_path / "made"
    (made / "wheels").mkdir(parents=True)
    (made / "wheels" / "a-1-py3-none-any.whl").touch()
    assert pack([project / "requirements.txt"], made, tmp_path / "slipway.tar.gz", "3.12") == 1
    with tarfile.open(tmp_path / "slipway.tar.gz") as tar:
        files = {entry.name for entry in tar if entry.isfile()}
        assert tar.getmember("slipway/install").mode & 0o111
    wheel = "slipway/wheels/a-1-py3-none-any.whl"
    carried = {"slipway/requirements.txt", "slipway/dags/deploy.py", "slipway/tests/testbed/hosts.py"}
    assert files == {"slipway/install", wheel, *carried}


def test_the_installer_asks_for_the_python_that_it_was_made_for(tmp_path):
    installer = tmp_path / "install"
    installer.write_text(INSTALLER.format(python="9.9", requirements="-r requirements.txt"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    done = subprocess.run(["bash", str(installer)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert "python9.9" in done.stderr


@pytest.mark.parametrize(("asked", "pins"), [([], 1), (["--executors"], 2)], ids=["without", "with"])
def test_what_the_executors_need_comes_along_where_it_is_asked_for(project, tmp_path, monkeypatch, asked, pins):
    """Each of its pins agrees with those of all, so one installation takes both."""
    names = ["requirements.txt", "requirements-executors.txt"][:pins]
    (project / "requirements-executors.txt").touch()
    fetched: list[str] = []

    def download(requirements: Path, wheels: Path, target: Target) -> None:
        assert target == Target("3.11")
        wheels.mkdir(exist_ok=True)
        fetched.append(requirements.name)

    monkeypatch.chdir(project)
    monkeypatch.setattr(cli_bundle, "_download", download)
    monkeypatch.setattr(cli_bundle, "checked", lambda result: None)
    monkeypatch.setattr(cli_bundle.LocalHost, "run", lambda self, command: None)
    assert main(["bundle", str(tmp_path / "slipway.tar.gz"), *asked]) == 0
    assert fetched == names
    with tarfile.open(tmp_path / "slipway.tar.gz") as tar:
        assert {f"slipway/{name}" for name in names} <= {*tar.getnames()}
        installer = tar.extractfile("slipway/install").read().decode()
    assert f"install pip {' '.join(f'-r {name}' for name in names)}\n" in installer


def test_outside_a_project_it_says_where_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bundle", "out.tar"]) == 1
    assert "run this in the project's folder" in capsys.readouterr().err
