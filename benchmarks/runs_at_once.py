"""Many runs at once in a team's installation: what the scheduler loses between stages, and what memory it takes.

    .slipway/venv/bin/python benchmarks/runs_at_once.py [--files 200] [--runs 10 25 50]

As root: docker-compose.yaml's services without Docker, as `make test-production` starts them (PostgreSQL, Redis, API
server, scheduler, DAG processor, triggerer, one Celery worker with 8 slots). A stage is *queued* when the scheduler has
one of 8 places for it (`[core] parallelism`). Each run is a `<name>.teardown` of a deployment of its own that runs
nothing: two stages, with a real resolve, lease and look at its two hosts. All hosts are this machine, each at an
address of its own, without SSH.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]
FILE = """
version: 1
name: {name}
rehearsal: true
root: {root}
hosts:
  - {{name: a, address: 127.1.{number}.1, gpus: 1}}
  - {{name: b, address: 127.1.{number}.2, gpus: 1}}
environment: {{existing: /usr/bin/python3}}
weights: {{source: /m, name: m, stage: false}}
ray: {{ports: {{block: {block}}}}}
serve: {{model_name: m, backend: mp, port: {port}, tensor_parallel: 2}}
benchmark: {{levels: [{{users: 1}}]}}
"""
KNOWN_WITHIN_S = 300.0
ENDED_WITHIN_S = 300.0


def main() -> None:
    from production.shape import open_shape

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 25, 50])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipway-scale-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the user postgres goes through
        with open_shape(folder, "d000", deployment(folder, 0)) as shape:
            began = time.monotonic()
            for number in range(1, asked.files):
                (shape.deployments / f"d{number:03}.yaml").write_text(deployment(folder, number))
            wait_until_known(shape, asked.files)
            seconds = time.monotonic() - began
            say(f"files {asked.files}: every DAG of each was in Airflow's database after {seconds:.0f} s")
            say(f"memory, MiB: {told(memory_mib(shape))}")
            for count in asked.runs:
                at_once(shape, count)


def deployment(folder: Path, number: int) -> str:
    places = {"name": f"d{number:03}", "root": folder / "hosts", "number": number}
    return FILE.format(**places, port=20000 + number, block=30000 + 20 * number)


def wait_until_known(shape: Any, files: int) -> None:
    wanted, deadline = files * 4, time.monotonic() + KNOWN_WITHIN_S
    with shape.client() as client:
        while (known := client._json("GET", "/dags", "the DAGs", params={"limit": 1})["total_entries"]) < wanted:
            assert time.monotonic() < deadline, f"only {known} DAGs of {wanted}"
            time.sleep(1.0)


def at_once(shape: Any, count: int) -> None:
    """Trigger a run of each of ``count`` deployments, wait for all, and tell what Airflow's own times say."""
    ids = [f"d{number:03}.teardown" for number in range(count)]
    run_id, began, peak = f"at-once-{count}", time.monotonic(), {}
    with shape.client() as client:
        for dag_id in ids:
            client.trigger(dag_id, run_id, {})
        triggered_s = time.monotonic() - began
        while any(not client.run(dag_id, run_id).ended for dag_id in ids):
            assert time.monotonic() - began < ENDED_WITHIN_S, "not all have ended"
            peak = {name: max(size, peak.get(name, 0)) for name, size in memory_mib(shape).items()}
            time.sleep(2.0)
        states = {client.run(dag_id, run_id).state for dag_id in ids}
        tasks = [task for dag_id in ids for task in instances(client, dag_id, run_id)]
    assert states == {"success"}, states
    with shape.store() as store:
        assert len([run for run in store.runs(limit=1000) if run.dag_run_id == run_id]) == count
        assert store.leases() == []
    begun, ended = moments(tasks, "start_date"), moments(tasks, "end_date")
    queued = moments(tasks, "queued_when")
    same = most_at_once(ids, begun, ended)
    say(f"runs {count:3} at once ({same} of them at the same time), triggered in {triggered_s:.1f} s")
    say(f"  all ended {(max(ended.values()) - min(begun.values())).total_seconds():.1f} s after the first task began")
    say(f"  end of the first stage to the second's queueing: {spread([delay(ended, queued, each) for each in ids])}")
    say(f"  and to its beginning, a slot's wait with it:      {spread([delay(ended, begun, each) for each in ids])}")
    say(f"  peak memory, MiB: {told(peak)}")


def instances(client: Any, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    answer = client._json("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "the tasks")
    found: list[dict[str, Any]] = answer["task_instances"]
    return found


def moments(tasks: list[dict[str, Any]], key: str) -> dict[tuple[str, str], datetime]:
    return {(task["dag_id"], task["task_id"]): datetime.fromisoformat(task[key]) for task in tasks}


def delay(ended: dict[tuple[str, str], datetime], then: dict[tuple[str, str], datetime], dag_id: str) -> float:
    return (then[dag_id, "teardown"] - ended[dag_id, "resolve"]).total_seconds()


def most_at_once(ids: list[str], begun: dict[Any, datetime], ended: dict[Any, datetime]) -> int:
    """Runs that had begun and not ended, at the moment when these were the most."""
    spans = [(begun[each, "resolve"], ended[each, "teardown"]) for each in ids]
    return max(sum(first <= moment < last for first, last in spans) for moment, _ in spans)


def memory_mib(shape: Any) -> dict[str, float]:
    """By service: the memory of its processes, what they share counted once."""
    return {name: sum(_pss(each) for each in _processes(part)) / (1 << 20) for name, part in shape.parts.items()}


def _processes(part: Any) -> Iterator[psutil.Process]:
    try:
        yield from psutil.Process(part._process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0


def spread(values: list[float]) -> str:
    ordered = sorted(values)
    p95 = ordered[round(0.95 * (len(ordered) - 1))]
    return f"median {statistics.median(ordered):.2f} s, p95 {p95:.2f} s, largest {ordered[-1]:.2f} s"


def told(sizes: dict[str, float]) -> str:
    return ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
