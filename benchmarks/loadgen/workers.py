"""Load from this machine and two others over SSH, against a server whose schedule is known.

    python benchmarks/loadgen/workers.py --users 60 --seconds 10 [--wheelhouse DIR]

The others are the hosts of ``tests/testbed/hosts.py``: network namespaces with a real sshd each, so run it as root. It
goes the way of a benchmark's task: hosts by Airflow's connections, environments, Locust's master here, rows at home.
With ``--wheelhouse``, a folder of the wheels of ``include/slipway/loadgen/requirements.txt``, the first host makes its
environment from there; else both adopt the interpreter that runs this. Run it with ``include`` on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from compare import PROMPT_TOKENS, SERVER, TOKENS, Answered, random_prompts

from slipway.loadgen.prompts import Prompt, save_prompts
from slipway.results import Measurement
from slipway.results.cell import load_window
from slipway.results.parquet import load_cell_requests
from slipway.results.percentiles import percentile
from slipway.spec import DeploymentSpec, Level, parse_deployment

BED = Path(__file__).parents[2] / "tests" / "testbed" / "hosts.py"
MACHINE, PORT = "10.77.0.254", 28300
FILE = """
version: 1
name: far
root: /srv/slipway
hosts: [{{name: here, address: 127.0.0.2}}]
environment: {environment}
weights: {{source: /models/m, name: m}}
serve: {{model_name: truth}}
benchmark:
  url: http://{machine}:{port}
  levels: [{{users: {users}, spawn_rate: 30}}]
  seconds: {seconds}
  warmup_s: 4
  output_tokens: {tokens}
  workers:
    - {{name: load-1, connection: slipway_h1, address: 10.77.0.1, processes: 1{first}}}
    - {{name: load-2, connection: slipway_h2, address: 10.77.0.2, processes: 2{second}}}
"""


def bed(verb: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, str(BED), verb], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def spec_for(given: argparse.Namespace) -> DeploymentSpec:
    existing = f", existing: {sys.executable}"
    environment = f"{{lock: cpu, wheelhouse: {given.wheelhouse}}}" if given.wheelhouse else "{lock: cpu}"
    text = FILE.format(
        environment=environment,
        machine=MACHINE,
        port=PORT,
        users=given.users,
        seconds=given.seconds,
        tokens=TOKENS,
        first="" if given.wheelhouse else existing,
        second=existing,
    )
    return parse_deployment(text, origin="far", base=Path("/"))


def measured(spec: DeploymentSpec, folder: Path) -> Measurement:
    """One level, as the benchmark's task measures it, but that prompts are made here."""
    from slipway.hooks.hosts import open_load_workers
    from slipway.stages.benchmark import LoadHost, load_plan, master_port, measure_load

    save_prompts(folder / "prompts", [Prompt(text, PROMPT_TOKENS, synthetic=True) for text in random_prompts(512)])
    [level] = spec.benchmark.levels
    plan = replace(load_plan(spec, Level(**level.model_dump()), folder / "cell"), prompts_file=str(folder / "prompts"))
    with open_load_workers(spec) as workers:
        load = LoadHost(str(folder), sys.executable, folder / "cell", workers=workers, master_port=master_port(spec))
        return measure_load(load, plan, print)


def show(cell: Measurement, folder: Path, truth: list[Answered], took_s: float) -> None:
    window = load_window(folder)
    inside = [each for each in truth if window.holds(each.sent_ns[-1])]
    ttft, itl = sorted(each.ttft_s for each in inside), sorted(gap for each in inside for gap in each.itl_s)
    assert cell.ttft is not None
    assert cell.itl is not None
    told = (cell.ttft.p50, cell.ttft.p95, cell.itl.p50, cell.itl.p95)
    true = (percentile(ttft, 50), percentile(ttft, 95), percentile(itl, 50), percentile(itl, 95))
    names = ("ttft_p50", "ttft_p95", "itl_p50", "itl_p95")
    errors = {name: 100 * (said - known) / known for name, said, known in zip(names, told, true, strict=True)}
    tokens = sum(window.holds(at) for each in truth for at in each.sent_ns) / window.seconds
    print(json.dumps({"error_percent": errors, "requests": cell.requests, "truth_requests": len(inside)}))
    print(json.dumps({"tokens_per_s": cell.output_tokens_per_s, "truth_tokens_per_s": tokens, "took_s": took_s}))
    print(json.dumps({"rows": Counter(row.host or "here" for row in load_cell_requests(folder))}))
    print(json.dumps({name: value for name, value in cell.client.items() if "[" in name}))
    print("; ".join([cell.validity, *cell.reasons]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--wheelhouse", type=Path)
    given = parser.parse_args()
    made = bed("up")
    try:
        with tempfile.TemporaryDirectory() as home:
            os.environ |= {"AIRFLOW_HOME": home, "_AIRFLOW_PROCESS_CONTEXT": "server", **made["environment"]}  # type: ignore[dict-item]
            run(given, Path(home))
    finally:
        if made["made"]:
            bed("down")


def run(given: argparse.Namespace, folder: Path) -> None:
    log = folder / "truth.jsonl"
    argv = [sys.executable, str(SERVER), "--host", MACHINE, "--port", str(PORT), "--log", str(log)]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        print(f"load average {os.getloadavg()}", flush=True)
        began = time.monotonic()
        cell = measured(spec_for(given), folder)
        took_s = time.monotonic() - began
        server.terminate()
        server.wait(10)
        truth = [Answered(**json.loads(line)) for line in log.read_text().splitlines()]
        show(cell, folder / "cell", truth, took_s)
        print(f"load average {os.getloadavg()}", flush=True)
    finally:
        server.kill()
        server.wait()
    for host in ("slipway-h1", "slipway-h2"):
        left = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True, check=True).stdout.split()
        print(f"processes left on {host}, its sshd among them: {len(left)}")


if __name__ == "__main__":
    main()
