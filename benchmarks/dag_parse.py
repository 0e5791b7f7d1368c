"""What the DAG files cost: each against a file that only imports ``airflow.sdk``, and with many deployment files.

    python benchmarks/dag_parse.py [--files 100] [--rounds 5]

Every round parses in a fresh interpreter, turn about. Printed are medians of wall seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIMED = """\
import runpy, sys, time
began = time.perf_counter()
for path in sys.argv[1:]:
    runpy.run_path(path)
print(time.perf_counter() - began)
"""


def seconds(paths: list[Path], env: dict[str, str]) -> float:
    """How long a fresh interpreter takes to run these files one after the other."""
    argv = [sys.executable, "-c", TIMED, *map(str, paths)]
    return float(subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    dags = sorted((ROOT / "dags").glob("*.py"))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        env = {**os.environ, "AIRFLOW_HOME": str(home / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        many = {**env, "AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER": str(_many(home / "deployments", arguments.files))}
        bare = home / "bare.py"
        bare.write_text("from airflow.sdk import DAG\n")
        cases = {"from airflow.sdk import DAG": ([bare], env)}
        cases |= {f"dags/{path.name}": ([path], env) for path in dags}
        cases[f"all three, {arguments.files} deployment files"] = (dags, many)
        taken: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(arguments.rounds):
            for name, (paths, environment) in cases.items():
                taken[name].append(seconds(paths, environment))
    base = statistics.median(taken["from airflow.sdk import DAG"])
    for name, values in taken.items():
        middle = statistics.median(values)
        print(f"{name:40} {middle:6.2f} s  x {middle / base:4.2f}  ({min(values):.2f} to {max(values):.2f})")


def _many(folder: Path, count: int) -> Path:
    """``count`` copies of the reference deployment, each with a name of its own."""
    folder.mkdir()
    text = (ROOT / "include" / "deployments" / "deepseek-r1.yaml").read_text()
    for number in range(count):
        (folder / f"d{number:03}.yaml").write_text(text.replace("name: deepseek-r1\n", f"name: d{number:03}\n", 1))
    return folder


if __name__ == "__main__":
    main()
