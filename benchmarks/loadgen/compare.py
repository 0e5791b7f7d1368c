"""The load generator against a server whose schedule is known, and against its peers, turn about.

    python benchmarks/loadgen/compare.py --vllm-bench-serve V/bin --guidellm G/bin --aiperf A/bin \\
        --inference-perf I/bin --tokenizer /path/to/a-tokenizer

Run it with the interpreter that has Locust, and ``include`` on PYTHONPATH; each peer that is given comes from a virtual
environment of its own. Every figure is reported against what the server wrote down for the same requests; CPU is read
from the operating system while answers are streaming.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil
from peers import PEERS, PROMPT_TOKENS, TOKENS, Asked

from slipway.commands import locust
from slipway.loadgen.plan import LoadPlan
from slipway.loadgen.prompts import WORDS, Prompt, save_prompts
from slipway.results.cell import load_window, measure
from slipway.results.percentiles import percentile
from slipway.results.plan import PLAN_FILE

SERVER = Path(__file__).with_name("truth_server.py")
WARMUP_S = 4.0
CYCLE_S = 2.2
"""How long a request of the usual schedule takes."""


PEER_S = 400.0
"""How long one run of a peer may take before it counts as failed."""


class PeerFailed(Exception):
    """A peer ended with an error, did not end, or left no result; the text says which."""


@dataclass(frozen=True)
class Answered:
    """What the server wrote down of one request, in nanoseconds since the epoch."""

    arrived_ns: int
    sent_ns: list[int]

    @property
    def ttft_s(self) -> float:
        return (self.sent_ns[0] - self.arrived_ns) / 1e9

    @property
    def itl_s(self) -> Iterator[float]:
        return ((after - before) / 1e9 for before, after in zip(self.sent_ns, self.sent_ns[1:], strict=False))


@dataclass(frozen=True)
class Run:
    """One run of one client: its error against the truth in percent, and what it cost."""

    client: str
    users: int
    requests: int
    truth_ttft_p50_ms: float
    ttft_p50_error: float
    ttft_p95_error: float
    itl_p50_error: float
    cpu_ms_per_1000_tokens: float
    tokens_per_s: float
    validity: str


@contextmanager
def open_server(folder: Path, options: list[str]) -> Iterator[tuple[int, Callable[[], list[Answered]]]]:
    """A truth server on a free port; the second value stops it and reads what it wrote down."""
    log = folder / "truth.jsonl"
    process = subprocess.Popen(
        [sys.executable, str(SERVER), "--log", str(log), *options], stdout=subprocess.PIPE, text=True
    )

    def stop() -> list[Answered]:
        process.terminate()
        process.wait(timeout=10)
        return [Answered(**json.loads(line)) for line in log.read_text().splitlines()]

    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), stop
    finally:
        process.kill()
        process.wait()


class CpuClock:
    """CPU seconds of a process and its children, read every tenth of a second beside it."""

    def __init__(self, pid: int) -> None:
        self._readings: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(psutil.Process(pid),), daemon=True)
        self._thread.start()

    def _watch(self, process: psutil.Process) -> None:
        while not self._ended.wait(0.1):
            try:
                family = [process, *process.children(recursive=True)]
                used = sum(sum(each.cpu_times()[:2]) for each in family)
            except psutil.NoSuchProcess:
                return
            self._readings.append((time.time(), used))

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def between(self, start_s: float, end_s: float) -> float:
        inside = [used for at, used in self._readings if start_s <= at <= end_s]
        return inside[-1] - inside[0]


def ours(users: int, seconds: float, options: list[str]) -> Run:
    with tempfile.TemporaryDirectory() as name, open_server(Path(name), options) as (port, stop):
        folder = Path(name)
        save_prompts(
            folder / "prompts.jsonl", [Prompt(text, PROMPT_TOKENS, synthetic=True) for text in random_prompts(512)]
        )
        plan = LoadPlan(
            base_url=f"http://127.0.0.1:{port}",
            model="truth",
            output_tokens=TOKENS,
            users=users,
            spawn_rate=min(100.0, users / 2),
            seconds=seconds,
            warmup_s=WARMUP_S,
            folder=name,
        )
        (folder / PLAN_FILE).write_text(plan.to_json())
        command = locust.command(sys.executable, locust.plan_path(plan), plan)
        clock = _run(list(command.argv), command.env, folder / "locust.log", seconds + PEER_S)
        measured, window = measure(folder, plan), load_window(folder)
        truth = [each for each in stop() if window.holds(each.sent_ns[-1])]
        assert measured.ttft is not None
        assert measured.itl is not None
        return _compare(
            "slipway",
            users,
            truth,
            (measured.ttft.p50, measured.ttft.p95, measured.itl.p50),
            clock.between(window.start_ns / 1e9, window.end_ns / 1e9)
            / measured.window_s
            / measured.output_tokens_per_s,
            measured.output_tokens_per_s,
            "; ".join([measured.validity, *measured.reasons]),
        )


def peer(name: str, bin_folder: Path, tokenizer: str, users: int, seconds: float, options: list[str]) -> Run:
    """Another tool with as many requests as our cell sends in its warm-up and its window.

    Its own requests before the measured ones, and those that it leaves unfinished, are not among the last ``count``
    that the server answered.
    """
    with tempfile.TemporaryDirectory() as home, open_server(Path(home), options) as (port, stop):
        folder = Path(home, "peer")
        folder.mkdir()
        count = users * round((WARMUP_S + seconds) / CYCLE_S)
        asked = Asked(bin_folder, f"http://127.0.0.1:{port}", folder, users, count, tokenizer)
        clock = _run(PEERS[name].argv(asked), PEERS[name].env, folder / "peer.log", PEER_S)
        try:
            said = PEERS[name].said(folder)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise PeerFailed(f"it left no figures: {error!r}") from error
        truth = sorted(stop(), key=lambda each: each.arrived_ns)[-count:]
        if not truth:
            raise PeerFailed("the server answered no request of it")
        start_s, end_s = truth[0].arrived_ns / 1e9, max(each.sent_ns[-1] for each in truth) / 1e9
        tokens = sum(len(each.sent_ns) for each in truth)
        cpu_s = clock.between(start_s, end_s) / tokens
        return _compare(name, users, truth, said, cpu_s, tokens / (end_s - start_s), "-")


def _run(argv: list[str], env: Mapping[str, str], log: Path, longest_s: float) -> CpuClock:
    """Run a client to its end, in a session of its own, which is killed where it takes too long. Raises PeerFailed."""
    with log.open("w") as said:
        process = subprocess.Popen(
            argv, env={**os.environ, **env}, cwd=log.parent, stdout=said, stderr=said, start_new_session=True
        )
        clock = CpuClock(process.pid)
        try:
            code = process.wait(longest_s)
        except subprocess.TimeoutExpired as error:
            raise PeerFailed(f"no end within {longest_s:g} s: {_last(log)}") from error
        finally:
            clock.stop()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        raise PeerFailed(f"exit code {code}: {_last(log)}")
    return clock


def _last(log: Path) -> str:
    return " / ".join(log.read_text(errors="replace").splitlines()[-3:])[-400:]


def _compare(
    client: str,
    users: int,
    truth: list[Answered],
    said: tuple[float, float, float],
    cpu_s_per_token: float,
    tokens_per_s: float,
    validity: str,
) -> Run:
    ttft, itl = sorted(each.ttft_s for each in truth), sorted(gap for each in truth for gap in each.itl_s)
    true = (percentile(ttft, 50), percentile(ttft, 95), percentile(itl, 50))
    errors = [100 * (told - known) / known for told, known in zip(said, true, strict=True)]
    return Run(client, users, len(truth), true[0] * 1000, *errors, cpu_s_per_token * 1e6, tokens_per_s, validity)


def random_prompts(count: int) -> list[str]:
    chance = random.Random(1)
    return [" ".join(chance.choices(WORDS, k=PROMPT_TOKENS)) for _ in range(count)]


def show(runs: list[Run]) -> None:
    """A row for each client and number of users: medians over its runs, and the largest error of any."""
    print(
        "| users | client | TTFT p50 error % | TTFT p95 error % | ITL p50 error % | CPU ms / 1,000 tokens | tokens/s |"
    )
    print("|---|---|---|---|---|---|---|")
    for users, client in dict.fromkeys((run.users, run.client) for run in runs):
        mine = [run for run in runs if (run.users, run.client) == (users, client)]
        errors = [
            [getattr(run, name) for run in mine] for name in ("ttft_p50_error", "ttft_p95_error", "itl_p50_error")
        ]
        cells = [f"{median(each):+.2f} (worst {max(each, key=abs):+.2f})" for each in errors]
        cells += [
            f"{median(run.cpu_ms_per_1000_tokens for run in mine):.1f}",
            f"{median(run.tokens_per_s for run in mine):.0f}",
        ]
        print(f"| {users} | {client} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[10, 50, 100, 150, 500, 1000])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tokenizer", type=Path, help="a folder with a Hugging Face tokenizer, for all but vLLM")
    for name in PEERS:
        dest = name.replace(" ", "-")
        parser.add_argument(f"--{dest}", type=Path, dest=name, metavar="BIN", help=f"the folder of programs of {name}")
    parser.add_argument("--server", nargs=argparse.REMAINDER, default=[], help="last: options of truth_server.py")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    bins = {name: folder.absolute() for name in PEERS if (folder := getattr(given, name))}
    if set(bins) - {"vllm bench serve"} and not given.tokenizer:
        parser.error("--tokenizer is needed by all peers but vLLM")
    tokenizer = given.tokenizer.absolute() if given.tokenizer else ""
    print(f"load average {os.getloadavg()}", flush=True)
    runs: list[Run] = []
    for _ in range(given.rounds):
        for users in given.users:
            runs.append(ours(users, given.seconds, given.server))
            print(json.dumps(asdict(runs[-1])), flush=True)
            for name, folder in bins.items():
                try:
                    runs.append(peer(name, folder, str(tokenizer), users, given.seconds, given.server))
                except PeerFailed as failed:
                    print(json.dumps({"client": name, "users": users, "failed": str(failed)}), flush=True)
                else:
                    print(json.dumps(asdict(runs[-1])), flush=True)
    print(f"load average {os.getloadavg()}", flush=True)
    show(runs)


if __name__ == "__main__":
    main()
