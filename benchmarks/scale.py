"""How the control plane grows: parse time by deployment files, rows a second into the store, runs that record at once.

    .slipway/venv/bin/python benchmarks/scale.py [parse] [rows] [runs]

*parse*: every DAG file with 50, 100 and 200 deployment files, each in a fresh interpreter, the median of three.
*rows*: the rows of a load test from the load generator's files to a cell in the store, their Parquet file with it.
*runs*: 10, 25 and 50 runs at once, each holding two hosts of its own and recording 13 stages and four cells: threads,
no Airflow and no host has a part in it. Store: a PostgreSQL of its own, as the tests start it. Memory is the peak of a
process of its own for each line.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]
MS, SECOND = 1_000_000, 1_000_000_000
TOKENS = (16, 64)
"""Output tokens of each request; 64 is what a deployment file asks for that says nothing of it."""
STAGES = ("resolve", "preflight", "environment", "weights", "ray_cluster", "network", "serve", "ready", "smoke",
          "benchmark", "verdict", "promote", "restore")  # fmt: skip
CELLS = 4


def parse(count: int) -> None:
    """All DAG files with ``count`` deployment files."""
    import os

    from dag_parse import _many, seconds

    dags = sorted((ROOT / "dags").glob("*.py"))
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "AIRFLOW_HOME": f"{folder}/airflow", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        env["AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER"] = str(_many(Path(folder) / "deployments", count))
        taken = [seconds(dags, env) for _ in range(3)]
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    say(f"parse  {count:7} files    {statistics.median(taken):6.2f} s for all {len(dags)} DAG files  {memory:6.0f} MiB")


def rows(count: int) -> None:
    for tokens in TOKENS:
        ingest(count, tokens)


def ingest(count: int, tokens: int) -> None:
    """A cell of ``count`` requests, from its files to the store."""
    import pyarrow.parquet  # noqa: F401 - loaded once a process, whatever the number of cells
    from results_api import database

    from slipway.results.cell import measure
    from slipway.results.parquet import keep_requests
    from slipway.results.plan import LoadPlan
    from slipway.store import open_store

    with tempfile.TemporaryDirectory() as name, database(postgres=True) as url, open_store(url) as store:
        folder = Path(name)
        write_cell(folder, count, tokens)
        run_id = begin(store, 0)
        plan = LoadPlan(base_url="http://h:1", model="m", users=64, seconds=10.0, output_tokens=tokens, folder=name)
        began = time.perf_counter()
        keep_requests(folder)
        kept = time.perf_counter()
        cell = measure(folder, plan)
        measured = time.perf_counter()
        store.record_cell(run_id, cell, name)
        seconds = time.perf_counter() - began
        assert cell.requests == count
    parts = (kept - began, measured - kept, began + seconds - measured)
    each = "Parquet {:.2f} s, measured {:.2f} s, store {:.2f} s".format(*parts)
    say(f"rows   {count:7} of {tokens:2} tokens {count / seconds:6.0f} rows/s ({each})  {peak_mib():6.0f} MiB")


def write_cell(folder: Path, count: int, tokens: int) -> None:
    """What 64 load processes would have left: requests of so many tokens, spread over ten seconds."""
    from slipway.results.cell import WINDOW_FILE
    from slipway.results.client import Client
    from slipway.results.rows import Row

    start, chance = 1_000 * SECOND, random.Random(1)
    (folder / WINDOW_FILE).write_text(json.dumps({"start_ns": start, "end_ns": start + 10 * SECOND}))
    (folder / "clients-0.json").write_text(json.dumps(asdict(Client(0.1, 10.0, count, 0, 0.0))))
    with (folder / "rows-1.jsonl").open("w") as file:
        for number in range(count):
            sent = start + number * (8 * SECOND // count)
            first, last = sent + 100 * MS, sent + 100 * MS + (tokens - 1) * 20 * MS
            gaps = [chance.randrange(17_000, 23_000) for _ in range(tokens - 1)]
            row = Row(f"r{number}", number % 64, "", "", 200, sent, sent, first, first, first, last, last + MS,
                      gaps, [], 1, 1, 0, 0, tokens, 32, tokens, 32, 9000, 0)  # fmt: skip
            file.write(f"{row.to_json()}\n")


def runs(count: int) -> None:
    """``count`` runs that record at once, each of a deployment of its own on two hosts of its own."""
    from results_api import database

    from slipway.store import open_store

    with database(postgres=True) as url, open_store(url) as store:
        calls: list[float] = []
        began = time.perf_counter()
        with ThreadPoolExecutor(max_workers=count) as pool:
            for each in [pool.submit(record_run, store, number, calls) for number in range(count)]:
                each.result()
        seconds = time.perf_counter() - began
        assert len(store.runs(limit=1000)) == count
        assert store.leases() == []
    slow = statistics.quantiles(calls, n=100)[98]
    each = f"median {statistics.median(calls) * 1e3:.0f} ms, p99 {slow * 1e3:.0f} ms, all done in {seconds:.1f} s"
    say(f"runs   {count:7} at once  {len(calls) / seconds:8.0f} calls/s ({each})  {peak_mib():6.0f} MiB")


def record_run(store, number: int, calls: list[float]) -> None:
    from unit.store.test_store import MEASURED

    from slipway.store import State

    def timed(call, *arguments, **named):
        began = time.perf_counter()
        answer = call(*arguments, **named)
        calls.append(time.perf_counter() - began)
        return answer

    run_id = timed(begin, store, number)
    timed(store.take_lease, run_id, [f"10.0.{number}.1", f"10.0.{number}.2"], "deploy", 300.0)
    for name in STAGES:
        stage = timed(store.begin_stage, run_id, name)
        timed(store.prolong_lease, run_id, 300.0)
        timed(store.finish_stage, stage, actions=1, detail={"host": "a" * 200})
    for users in range(1, CELLS + 1):
        timed(store.record_cell, run_id, replace(MEASURED, users=users), "/a")
        timed(store.history, run_id, users, 10)
    timed(store.finish_run, run_id, State.SUCCESS, "same", "")


def begin(store, number: int) -> int:
    from unit.store.test_store import PARTS

    from slipway.spec import DeploymentSpec
    from slipway.store import RunStart

    spec = DeploymentSpec.model_validate_json(json.dumps({**PARTS, "name": f"d{number}"}))
    revision = store.save_revision(spec, "a lock")
    return int(store.begin_run(RunStart(spec.name, "deploy", f"{spec.name}.deploy", "r1", revision)))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def say(line: str) -> None:
    print(line, flush=True)


SIZES = {"parse": (50, 100, 200), "rows": (50_000, 100_000, 200_000), "runs": (10, 25, 50)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="parse|rows|runs", help="default: all three")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    for what in asked.what or SIZES:
        if asked.size:
            {"parse": parse, "rows": rows, "runs": runs}[what](asked.size)
            continue
        for size in SIZES[what]:
            subprocess.run([sys.executable, __file__, what, "--size", str(size)], check=True)


if __name__ == "__main__":
    main()
