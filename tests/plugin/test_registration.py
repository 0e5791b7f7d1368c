"""The page is registered once, whether the package is installed or only on PYTHONPATH, and costs nothing before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOAD = """
import json, sys
from airflow.plugins_manager import ensure_plugins_loaded, get_import_errors, get_plugin_info

ensure_plugins_loaded()
web = [name for name in ("fastapi", "slipway.store", "slipway.ui.api") if name in sys.modules]
plugins = get_plugin_info(["name", "source", "fastapi_apps", "react_apps"])
import slipway.store
json.dump({"web": web, "plugins": plugins, "errors": get_import_errors()}, sys.stdout, default=str)
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """This environment's packages but for the installed Slipway."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for site in (Path(each) for each in sys.path if each.endswith("-packages")):
        for entry in site.iterdir():
            if "slipway" not in entry.name.lower() and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return folder


def announce(packages: Path) -> None:
    """What an installation of this project writes there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    written = packages / "slipway-0.1.0.dist-info"
    written.mkdir()
    (written / "METADATA").write_text("Metadata-Version: 2.4\nName: slipway\nVersion: 0.1.0\n")
    groups = {group: entries.items() for group, entries in project["entry-points"].items()}
    lines = [f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in groups[group]) for group in groups]
    (written / "entry_points.txt").write_text("\n".join(lines))


def loaded(packages: Path) -> dict[str, Any]:
    """What a process of Airflow's has loaded whose packages are those alone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    settings = {
        "AIRFLOW_HOME": str(packages.parent),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": f"{packages}:{ROOT / 'include'}",
    }
    command, environment = [sys.executable, "-S", "-c", LOAD], {**inherited, **settings}
    ended = subprocess.run(
        command, env=environment, cwd=packages.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("installed", [True, False])
def test_it_is_registered_once_and_imports_the_web_application_late(packages: Path, installed: bool) -> None:
    if installed:
        announce(packages)
    found = loaded(packages)
    assert found["errors"] == {}
    assert found["web"] == []
    (plugin,) = [each for each in found["plugins"] if each["name"] == "slipway"]
    assert plugin["fastapi_apps"][0]["url_prefix"] == "/slipway"
    assert [each["destination"] for each in plugin["react_apps"]] == ["nav", "dag", "dag_run"]
    assert plugin["source"].startswith("slipway==" if installed else "$PLUGINS_FOLDER/slipway_plugin.py")


def test_the_server_knows_it_once_and_without_an_error(airflow: Any) -> None:
    with airflow.client("admin") as client:
        errors = client.get("/api/v2/plugins/importErrors").json()
        plugins = client.get("/api/v2/plugins").json()["plugins"]
    assert errors == {"import_errors": [], "total_entries": 0}
    (slipway,) = [each for each in plugins if each["name"] == "slipway"]
    assert [each["url_route"] for each in slipway["react_apps"]] == ["slipway", "slipway-dag", "slipway-run"]


def test_no_plugin_file_takes_the_name_of_a_module_that_somebody_imports() -> None:
    """Airflow executes each as a top-level module of its stem, in the place of one that has that name already."""
    stems = {path.stem for path in (ROOT / "plugins").rglob("*.py")}
    assert stems == {"slipway_plugin"}
