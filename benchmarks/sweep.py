"""A real sweep in rehearsal: a deploy, then `<name>.sweep` over points of which two fail, then the same once more.

    python benchmarks/sweep.py [--model tiny-qwen3]

In an Airflow of its own, on this machine's CPU. Its points: two sizes of batch, an argument that vLLM refuses, more
GPUs than there are, and with --ray one over Ray. Printed are the table of the first sweep, how many points the second
one measured again, what serves at the end, and what became of requests that were sent all through.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "include")]

from testbed.project import SHARED, Project, changed, open_project  # noqa: E402

CHANGES = {
    "name: demo": "name: swept",
    "gcs: 26379": "gcs: 27379",
    "dashboard: 28265": "dashboard: 27265",
    "block: 26400": "block: 27400",
    "workers: 26500": "workers: 27500",
    "port: 28000": "port: 27000\n  backend: mp",
    "seconds: 20": "seconds: 5",
    "warmup_s: 3": "warmup_s: 1",
}
TINY = {
    "name: smollm2-135m-instruct": "name: tiny-qwen3",
    '  question: {ask: "What is the capital of France?", expect: Paris}': "  temperature: 1.0",
    "users: 4": "users: 2",
}
SWEEP = """
sweep:
  grid:
    serve.args.max-num-seqs: [2, 8]
  points:
    - {serve.args.kv-cache-dtype: nonsense}
    - {serve.tensor_parallel: 2}
"""
OVER_RAY = "    - {serve.backend: ray, benchmark.users: 2}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny-qwen3", choices=("tiny-qwen3", "SmolLM2-135M-Instruct"))
    parser.add_argument("--ray", action="store_true", help="one point over Ray as well")
    asked = parser.parse_args()
    source = {"source: .slipway/shared/SmolLM2-135M-Instruct": f"source: {SHARED}/{asked.model}"}
    changes = {**CHANGES, **source, **(TINY if asked.model == "tiny-qwen3" else {})}
    text = changed((ROOT / "include" / "deployments" / "demo.yaml").read_text(), changes)
    with tempfile.TemporaryDirectory(prefix="slipway-sweep-") as made:
        folder = Path(made)
        (folder / ".slipway" / "host").mkdir(parents=True)
        (folder / ".slipway" / "host" / "environments").symlink_to(ROOT / ".slipway" / "host" / "environments")
        with open_project(folder, "swept", 27080, text + SWEEP + (OVER_RAY if asked.ray else "")) as project:
            show(project)


def show(project: Project) -> None:
    run(project, "deploy", '{"users": [1]}')
    good = project.store().promoted("swept")
    for title in ("the first sweep", "the same again"):
        before = {each.id for each in project.store().runs("swept", 100)}
        with project.probing() as answers:
            run(project, "sweep")
        fresh = [each for each in project.store().runs("swept", 100) if each.id not in before and each.job == "point"]
        print(f"== {title}: {len(fresh)} points deployed; requests sent all through: {answers}", flush=True)
        print(project.slipway("sweep", "swept").stdout, flush=True)
    current = project.store().current("swept")
    print(
        f"serving {current.revision_id if current else 'nothing'}, promoted {good.revision_id if good else 'nothing'}"
    )
    print(project.slipway("results", "swept").stdout, flush=True)


def run(project: Project, job: str, conf: str = "{}") -> None:
    began = time.monotonic()
    done = project.slipway("up", str(project.file), "--job", job, "--conf", conf)
    print(f"{job}: exit code {done.returncode} after {time.monotonic() - began:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout[-6000:], done.stderr[-2000:])


if __name__ == "__main__":
    main()
