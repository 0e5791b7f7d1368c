"""`slipway doctor` in an Airflow home of its own, whose database was just made: nothing of Airflow runs there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_it_says_what_is_whole_and_what_to_mend(tmp_path: Path) -> None:
    (tmp_path / "environments").symlink_to(ROOT / "include" / "environments")
    (tmp_path / "deployments").mkdir()
    shutil.copy(ROOT / "docs" / "examples" / "two-hosts.yaml", tmp_path / "deployments" / "pair.yaml")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    env = {
        **inherited,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER": str(tmp_path / "deployments"),
        "COLUMNS": "200",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", *words]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)

    assert run("airflow", "db", "migrate").returncode == 0
    ended = run("slipway.cli", "doctor")
    for name in ("packages", "Airflow's database", "results database", "fernet key", "DAG folder", "plugin"):
        assert f" {name} " in ended.stdout
    assert ended.stdout.count("FAIL") == 5, "two connections, and three parts of Airflow"
    assert "5 to be mended" in ended.stdout
    assert ended.returncode == 1
