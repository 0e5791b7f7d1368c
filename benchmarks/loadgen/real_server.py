"""The load generator and ``vllm bench serve`` turn about against a vLLM that runs: do they say the same of it?

    python benchmarks/loadgen/real_server.py --url http://127.0.0.1:28100 --model smollm2 --tokenizer /path/to/model \
        --peer-python /path/to/python-with-vllm

Run it with the interpreter that has Locust, and ``include`` on PYTHONPATH. Both ask for the same numbers of users,
prompt tokens and output tokens, with ``ignore_eos``; the peer sends as many requests as our window answered.

Beside what each says stands what the peer's own list of requests gives by our definition of throughput: tokens that
came inside a window in which all users were under way, from the first user's second request to the last one's start.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

from slipway.commands import locust
from slipway.loadgen.plan import LoadPlan
from slipway.results import Measurement
from slipway.results.cell import measure
from slipway.results.vllm_bench import imported

PEER = """
import argparse
from vllm.benchmarks.serve import add_cli_args, main

parser = argparse.ArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
"""``vllm bench serve`` without the command line around it that the CPU build lacks."""


@dataclass(frozen=True)
class Said:
    """What one client says of the server."""

    client: str
    requests: int
    output_tokens_per_s: float
    windowed_tokens_per_s: float
    ttft_p50_ms: float
    tpot_p50_ms: float
    e2e_mean_ms: float
    under_way_mean: float
    validity: str


FIGURES = (
    "output_tokens_per_s",
    "windowed_tokens_per_s",
    "ttft_p50_ms",
    "tpot_p50_ms",
    "e2e_mean_ms",
    "under_way_mean",
)


def ours(given: argparse.Namespace) -> Said:
    with tempfile.TemporaryDirectory() as folder:
        plan = LoadPlan(
            base_url=given.url,
            model=given.model,
            prompt_tokens=given.prompt_tokens,
            output_tokens=given.output_tokens,
            users=given.users,
            spawn_rate=float(given.users),
            seconds=given.seconds,
            warmup_s=3.0,
            folder=folder,
        )
        prepare = locust.prepare(sys.executable, plan)
        _run(list(prepare.argv), dict(prepare.env), Path(folder, "prepare.log"), prepare.stdin)
        command = locust.command(sys.executable, locust.plan_path(plan), plan)
        _run(list(command.argv), dict(command.env), Path(folder, "locust.log"))
        found = measure(Path(folder), plan)
    latencies = _latencies_ms(found)
    rate, under_way = found.output_tokens_per_s, found.client["under_way_mean"]
    validity = "; ".join([found.validity, *found.reasons])
    return Said("slipway", found.requests, rate, rate, *latencies, under_way, validity)


def _latencies_ms(found: Measurement) -> tuple[float, float, float]:
    assert found.ttft is not None
    assert found.tpot is not None
    assert found.e2e is not None
    return 1000 * found.ttft.p50, 1000 * found.tpot.p50, 1000 * found.e2e.mean


def peer(given: argparse.Namespace, requests: int) -> Said:
    with tempfile.TemporaryDirectory() as folder:
        argv = [
            *(given.peer_python, "-c", PEER, "--backend", "openai-chat", "--endpoint", "/v1/chat/completions"),
            *("--base-url", given.url, "--model", given.model, "--tokenizer", given.tokenizer),
            *("--dataset-name", "random", "--random-input-len", str(given.prompt_tokens), "--ignore-eos"),
            *("--random-output-len", str(given.output_tokens), "--num-prompts", str(requests)),
            *("--max-concurrency", str(given.users), "--disable-tqdm", "--num-warmups", str(given.users)),
            *("--save-result", "--save-detailed", "--result-dir", folder, "--result-filename", "peer.json"),
        ]
        _run(argv, {"VLLM_NO_USAGE_STATS": "1"}, Path(folder, "peer.log"))
        if given.keep:
            shutil.copy(Path(folder, "peer.json"), given.keep)
        result = json.loads(Path(folder, "peer.json").read_text())
    found = imported(result)
    rates = found.output_tokens_per_s, windowed(result, given.users)
    under_way = sum(result["latencies"]) / result["duration"]
    return Said("vllm bench serve", found.requests, *rates, *_latencies_ms(found), under_way, "-")


def windowed(result: dict[str, Any], users: int) -> float:
    """Output tokens a second of a result with lists, by our definition."""
    starts = sorted(result["start_times"])
    begin, end = starts[users], starts[-1]
    moments: list[float] = []
    for start, ttft, gaps in zip(result["start_times"], result["ttfts"], result["itls"], strict=True):
        moments += accumulate(gaps, initial=start + ttft)
    return sum(begin <= at < end for at in moments) / (end - begin)


def _run(argv: list[str], env: dict[str, str], log: Path, stdin: bytes | None = None) -> None:
    with log.open("w") as said:
        done = subprocess.run(
            argv, env={**os.environ, **env}, cwd=log.parent, stdout=said, stderr=said, input=stdin, check=False
        )
    if done.returncode:
        sys.exit(f"{argv[1:4]} ended with {done.returncode}:\n{log.read_text()[-3000:]}")


def show(runs: list[Said]) -> None:
    """Medians over the rounds, and how far ours are from the peer's."""
    names = ("client", "output tokens/s", "in a window", "TTFT p50 ms", "TPOT p50 ms", "E2E mean ms", "under way")
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    medians = {}
    for client in dict.fromkeys(run.client for run in runs):
        mine = [run for run in runs if run.client == client]
        medians[client] = [median(getattr(run, name) for run in mine) for name in FIGURES]
        print(f"| {client} | {' | '.join(f'{value:.2f}' for value in medians[client])} |")
    apart = [100 * (one - other) / other for one, other in zip(*medians.values(), strict=True)]
    print(f"| difference | {' | '.join(f'{percent:+.1f} %' for percent in apart)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True, help="the name that the server answers to")
    parser.add_argument("--tokenizer", required=True, help="the model's folder, for the peer")
    parser.add_argument("--peer-python", required=True, help="an interpreter with vLLM")
    parser.add_argument("--users", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--prompt-tokens", type=int, default=32)
    parser.add_argument("--output-tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", help="where the peer's last result is copied to")
    given = parser.parse_args()
    runs: list[Said] = []
    for _ in range(given.rounds):
        runs.append(ours(given))
        print(json.dumps(asdict(runs[-1])), flush=True)
        runs.append(peer(given, runs[-1].requests))
        print(json.dumps(asdict(runs[-1])), flush=True)
    show(runs)


if __name__ == "__main__":
    main()
