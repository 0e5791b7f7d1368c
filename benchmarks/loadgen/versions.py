"""Two versions of the load generator at the same time, so that both see the same machine: what does a token cost each?

    python benchmarks/loadgen/versions.py --old /path/to/another/checkout --users 10 50 500 --seconds 20 --rounds 3

Run it with the interpreter that has Locust. The new version is this checkout. Each has a server to itself; that and the
figures are of this checkout for both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
CELL = """
import dataclasses, json, sys
from compare import ours
print(json.dumps(dataclasses.asdict(ours(*json.loads(sys.argv[1]), []))))
"""


def start(checkout: Path, users: int, seconds: float) -> subprocess.Popen[str]:
    """A cell with the sources of ``checkout``."""
    path = os.pathsep.join((str(checkout / "include"), str(HERE.parent)))
    argv = [sys.executable, "-c", CELL, json.dumps([users, seconds])]
    return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)


def together(checkouts: list[Path], users: int, seconds: float) -> list[float]:
    """CPU ms for 1,000 tokens of each; what each said is printed."""
    said = [process.communicate()[0] for process in [start(each, users, seconds) for each in checkouts]]
    print(*said, sep="", end="", flush=True)
    return [json.loads(each)["cpu_ms_per_1000_tokens"] for each in said]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True, help="another checkout")
    parser.add_argument("--users", type=int, nargs="+", default=[10, 50, 500])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    old, new = given.old.resolve(), HERE.parents[2]
    print("| users | old | new | new against old |\n|---|---|---|---|")
    for users in given.users:
        cells = []
        for number in range(given.rounds):
            order = [old, new] if number % 2 else [new, old]
            cells.append(dict(zip(order, together(order, users, given.seconds), strict=True)))
        before, after = (median(cell[each] for cell in cells) for each in (old, new))
        ratio = median(cell[new] / cell[old] for cell in cells)
        print(f"| {users} | {before:.1f} | {after:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
