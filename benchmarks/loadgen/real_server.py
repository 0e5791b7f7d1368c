"""The load generator and ``vllm bench serve`` turn about against a vLLM that runs: do they say the same of it?

    python benchmarks/loadgen/real_server.py --url http://127.0.0.1:28100 --model smollm2 --tokenizer /path/to/model \
        --peer-python /path/to/python-with-vllm

Run it with the interpreter that has Locust, and ``include`` on PYTHONPATH. Both ask for the same numbers of users,
prompt tokens and output tokens, with ``ignore_eos`` and temperature 0; the peer sends as many requests as our window
answered. ``--also sampling`` is the peer with the temperature that it leaves to the server, which costs the server
more for each token; ``--also spread`` the peer with its users' first requests spread over half of a request's time.

Beside what each says stands what the peer's own list of requests gives by our definition of throughput (tokens that
came inside a window in which all users were under way, from the first user's second request to the last one's start),
and the server's own mean TTFT and E2E latency: of our window, and of the peer's whole run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from slipway.commands import locust
from slipway.loadgen.plan import LoadPlan
from slipway.results import Measurement
from slipway.results.cell import METRICS_FILES, measure
from slipway.results.prometheus import parse_metrics
from slipway.results.vllm_bench import imported

PEER = """
import argparse
from vllm.benchmarks.serve import add_cli_args, main

parser = argparse.ArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
"""``vllm bench serve`` without the command line around it that the CPU build lacks."""

GREEDY = ("--temperature", "0")

Counters = Mapping[str, float]


@dataclass(frozen=True)
class Said:
    """What one client says of the server, and in ``server_...`` what the server says itself."""

    client: str
    users: int
    requests: int
    prompt_tokens_mean: float
    output_tokens_per_s: float
    windowed_tokens_per_s: float
    ttft_p50_ms: float
    ttft_mean_ms: float
    server_ttft_mean_ms: float
    tpot_p50_ms: float
    e2e_mean_ms: float
    server_e2e_mean_ms: float
    under_way_mean: float
    validity: str


FIGURES = {
    "prompt_tokens_mean": "prompt tokens",
    "output_tokens_per_s": "output tokens/s",
    "windowed_tokens_per_s": "in a window",
    "ttft_p50_ms": "TTFT p50 ms",
    "ttft_mean_ms": "TTFT mean ms",
    "server_ttft_mean_ms": "the server's",
    "tpot_p50_ms": "TPOT p50 ms",
    "e2e_mean_ms": "E2E mean ms",
    "server_e2e_mean_ms": "the server's",
    "under_way_mean": "under way",
}


def ours(given: argparse.Namespace, users: int) -> Said:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = LoadPlan(
            base_url=given.url,
            model=given.model,
            prompt_tokens=given.prompt_tokens,
            output_tokens=given.output_tokens,
            users=users,
            spawn_rate=float(users),
            processes=given.processes,
            seconds=given.seconds,
            warmup_s=3.0,
            folder=name,
        )
        prepare = locust.prepare(sys.executable, plan)
        _run(list(prepare.argv), dict(prepare.env), folder / "prepare.log", prepare.stdin)
        command = locust.command(sys.executable, locust.plan_path(plan), plan)
        _run(list(command.argv), dict(command.env), folder / "locust.log")
        found = measure(folder, plan)
        begin, end = (parse_metrics((folder / each).read_text()) for each in METRICS_FILES)
    rate = found.output_tokens_per_s
    validity = "; ".join([found.validity, *found.reasons])
    return _said("slipway", users, found, rate, found.client["under_way_mean"], (begin, end), validity)


def peer(given: argparse.Namespace, users: int, requests: int, client: str, options: tuple[str, ...]) -> Said:
    with tempfile.TemporaryDirectory() as folder:
        argv = [
            *(given.peer_python, "-c", PEER, "--backend", "openai-chat", "--endpoint", "/v1/chat/completions"),
            *("--base-url", given.url, "--model", given.model, "--tokenizer", given.tokenizer),
            *("--dataset-name", "random", "--random-input-len", str(given.prompt_tokens), "--ignore-eos"),
            *("--random-output-len", str(given.output_tokens), "--num-prompts", str(requests), *options),
            *("--max-concurrency", str(users), "--disable-tqdm", "--num-warmups", str(users)),
            *("--save-result", "--save-detailed", "--result-dir", folder, "--result-filename", "peer.json"),
        ]
        begin = _counters(given.url)
        _run(argv, {"VLLM_NO_USAGE_STATS": "1"}, Path(folder, "peer.log"))
        end = _counters(given.url)
        if given.keep:
            shutil.copy(Path(folder, "peer.json"), given.keep)
        result = json.loads(Path(folder, "peer.json").read_text())
    found = imported(result)
    assert found.e2e is not None
    under_way = found.requests * found.e2e.mean / found.window_s
    return _said(client, users, found, windowed(result, users), under_way, (begin, end), "-")


def _said(
    client: str,
    users: int,
    found: Measurement,
    windowed_tokens_per_s: float,
    under_way_mean: float,
    counters: tuple[Counters, Counters],
    validity: str,
) -> Said:
    assert found.ttft is not None
    assert found.tpot is not None
    assert found.e2e is not None
    return Said(
        client=client,
        users=users,
        requests=found.requests,
        prompt_tokens_mean=found.prompt_tokens / found.requests,
        output_tokens_per_s=found.output_tokens_per_s,
        windowed_tokens_per_s=windowed_tokens_per_s,
        ttft_p50_ms=1000 * found.ttft.p50,
        ttft_mean_ms=1000 * found.ttft.mean,
        server_ttft_mean_ms=_mean_ms("time_to_first_token", *counters),
        tpot_p50_ms=1000 * found.tpot.p50,
        e2e_mean_ms=1000 * found.e2e.mean,
        server_e2e_mean_ms=_mean_ms("e2e_request_latency", *counters),
        under_way_mean=under_way_mean,
        validity=validity,
    )


def _counters(url: str) -> Counters:
    with urlopen(f"{url}/metrics", timeout=10) as answer:
        return parse_metrics(answer.read().decode())


def _mean_ms(metric: str, begin: Counters, end: Counters) -> float:
    """The mean of one of vLLM's histograms between two readings."""
    seconds, count = (
        end[f"vllm:{metric}_seconds_{part}"] - begin.get(f"vllm:{metric}_seconds_{part}", 0.0)
        for part in ("sum", "count")
    )
    return 1000 * seconds / count


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
    """Medians over the rounds at one number of users, and how far each peer is from ours."""
    print(f"| users | client | {' | '.join(FIGURES.values())} |\n|{'---|' * (len(FIGURES) + 2)}")
    for users in dict.fromkeys(run.users for run in runs):
        medians = {
            client: _medians([run for run in runs if (run.users, run.client) == (users, client)])
            for client in dict.fromkeys(run.client for run in runs)
        }
        for client, values in medians.items():
            print(f"| {users} | {client} | {' | '.join(f'{value:.2f}' for value in values)} |")
        mine = medians.pop("slipway")
        for client, values in medians.items():
            apart = (f"{100 * (one - other) / other:+.1f} %" for one, other in zip(mine, values, strict=True))
            print(f"| {users} | slipway against {client} | {' | '.join(apart)} |")


def _medians(runs: list[Said]) -> list[float]:
    return [median(getattr(run, name) for run in runs) for name in FIGURES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True, help="the name that the server answers to")
    parser.add_argument("--tokenizer", required=True, help="the model's folder, for the peer")
    parser.add_argument("--peer-python", required=True, help="an interpreter with vLLM")
    parser.add_argument("--users", type=int, nargs="+", default=[4])
    parser.add_argument("--processes", type=int, default=1, help="of our load generator")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--prompt-tokens", type=int, default=32)
    parser.add_argument("--output-tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--also", nargs="+", default=[], choices=("sampling", "spread"))
    parser.add_argument("--keep", help="where the peer's last result is copied to")
    given = parser.parse_args()
    runs: list[Said] = []

    def note(said: Said) -> None:
        runs.append(said)
        print(json.dumps(asdict(said)), flush=True)

    for _ in range(given.rounds):
        for users in given.users:
            note(ours(given, users))
            requests = runs[-1].requests
            note(peer(given, users, requests, "vllm bench serve", GREEDY))
            if "sampling" in given.also:
                note(peer(given, users, requests, "the same, sampling", ()))
            if "spread" in given.also:
                rate = str(2 * requests / given.seconds)
                note(peer(given, users, requests, "the same, spread", (*GREEDY, "--request-rate", rate)))
    show(runs)


if __name__ == "__main__":
    main()
