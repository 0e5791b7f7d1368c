"""A deployment with a history, for the page to draw: its figures are made up, its rows are the store's own."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from unittest import mock

from slipway.results import Goodput, Measurement, Validity
from slipway.results.histogram import histogram
from slipway.results.percentiles import distribution
from slipway.spec import DeploymentSpec
from slipway.store import Restart, RunStart, SmokeCheck, State, Store

NAME = "quay"
LEVELS = (1, 2, 4, 8, 16, 32, 64)
BEGAN = datetime(2026, 9, 1, 6, 30, tzinfo=UTC)
REVISIONS: tuple[dict[str, Any], ...] = (
    {"max-num-seqs": 16},
    {"max-num-seqs": 32},
    {"max-num-seqs": 32, "enable-chunked-prefill": True},
    {"max-num-seqs": 64, "enable-chunked-prefill": True},
)
RUNS_A_REVISION = 8
WORSE = 21
"""The number of a run that was slow."""
NEWER_VLLM = 19
"""The number of the run that found another version of vLLM in its environment."""
CHECKS = [
    {"host": "here", "name": "python", "state": "ok", "found": "3.11.7 at /usr/bin/python3.11"},
    {"host": "here", "name": "disk", "state": "warn", "found": "212 GiB free below /srv/slipway"},
    {"host": "here", "name": "gpus", "state": "ok", "found": "a rehearsal needs none"},
    {"host": "here", "name": "ports", "state": "ok", "found": "all free"},
]
NETWORK = {
    "backend": "gloo", "ranks": 2, "over": "sockets", "small_bytes": 8, "small_s": 6.1e-5, "large_bytes": 4 << 20,
    "large_s": 0.0042, "algbw": 9.98e8, "busbw": 9.98e8, "transports": [],
}  # fmt: skip
DIAGNOSIS = {
    "id": "made-up", "kind": "transient", "phase": "serve", "cause": "the server was asked before it was ready",
    "advice": "nothing: the next try found it ready", "key": "serve.ready_timeout_s", "host": "here",
    "log": "quay.vllm.log", "role": "quay.vllm", "line": "ConnectionRefusedError: [Errno 111] Connection refused",
}  # fmt: skip
SMOKE = [
    SmokeCheck("models", True, "smollm2 is served", 0.011, {"asked": "GET /v1/models", "answered": {"id": "smollm2"}}),
    SmokeCheck(
        "question", True, "the answer holds Paris", 0.83,
        {"asked": "What is the capital of France?", "answered": "The capital of France is Paris."},
    ),
]  # fmt: skip


def fill(store: Store, spec: DeploymentSpec) -> list[int]:
    """Runs of ``spec`` as deployment ``quay``, four revisions one after the other; their ids, oldest first."""
    chance = random.Random(7)
    ids = []
    for number in range(len(REVISIONS) * RUNS_A_REVISION):
        asked = REVISIONS[number // RUNS_A_REVISION]
        wanted = spec.model_copy(
            update={"name": NAME, "serve": spec.serve.model_copy(update={"args": {**spec.serve.args, **asked}})}
        )
        first = number % RUNS_A_REVISION == 0
        with at(BEGAN + timedelta(hours=41 * number)) as clock:
            ids.append(_run(store, wanted, number, "deploy" if first else "benchmark", clock, chance))
    return ids


class Clock:
    """Stands for ``datetime`` in the store."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self, _zone: tzinfo) -> datetime:
        self.moment += timedelta(seconds=0.4)
        return self.moment

    def fromtimestamp(self, seconds: float, zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(seconds, zone)


@contextmanager
def at(moment: datetime) -> Iterator[Clock]:
    """As if it were ``moment``, for what the store writes."""
    clock = Clock(moment)
    with mock.patch("slipway.store.runs.datetime", clock), mock.patch("slipway.store.revisions.datetime", clock):
        yield clock


def _run(store: Store, spec: DeploymentSpec, number: int, job: str, clock: Clock, chance: random.Random) -> int:
    revision = store.save_revision(spec)
    reason = "a newer vLLM" if job == "deploy" else "nightly"
    start = RunStart(NAME, job, f"{NAME}.{job}", f"night-{number}", revision, spec.rehearsal, reason, {})
    run_id = store.begin_run(start)
    vllm = "0.32.0" if number < NEWER_VLLM else "0.32.1"
    store.add_snapshot(run_id, {"versions": {"vllm": vllm, "ray": "2.60.0", "torch": "2.13.0"}})
    if job == "deploy":
        _deploy(store, run_id, clock, chance)
    for level in LEVELS:
        stage = store.begin_stage(run_id, "benchmark", LEVELS.index(level))
        clock.moment += timedelta(seconds=64)
        store.record_cell(run_id, measured(level, number, clock.moment, chance), "/rows")
        store.finish_stage(stage, actions=1)
    store.set_current(run_id, revision, spec.endpoint)
    store.finish_run(run_id, State.SUCCESS, *verdict(number))
    return run_id


def _deploy(store: Store, run_id: int, clock: Clock, chance: random.Random) -> None:
    took = chance.uniform(38, 55)
    details: dict[str, dict[str, Any]] = {
        "preflight": {"checks": CHECKS},
        "ray_cluster": {"commands": [command("start Ray's head", "ray start --head --port 26379")]},
        "network": {"network": NETWORK},
        "serve": {"commands": [command("start vLLM", "env HF_TOKEN=canary vllm serve smollm2 --max-num-seqs 64")]},
        "ready": {"time_to_ready_s": round(took, 3), "restarts": 0, "phases": phases(took)},
        "smoke": {},
    }
    for name, detail in details.items():
        stage = store.begin_stage(run_id, name)
        clock.moment += timedelta(seconds=took if name == "ready" else chance.uniform(0.5, 6))
        store.finish_stage(stage, actions=0 if name in ("preflight", "smoke") else 2, detail=detail)
    store.record_smoke(run_id, SMOKE)
    store.record_restarts(run_id, [Restart("here", "quay.vllm", clock.moment, "signal", "ended by signal 9")])
    store.add_snapshot(run_id, {"diagnosis": DIAGNOSIS, "network": NETWORK})


def phases(took: float) -> list[dict[str, Any]]:
    """Of a start, as vLLM's log tells them."""
    parts = {
        "imports": 0.3,
        "engine": 0.12,
        "weights": 0.22,
        "compile": 0.24,
        "kv_cache": 0.08,
        "first completion": 0.04,
    }
    return [{"name": name, "began_s": 0.0, "seconds": round(took * part, 3)} for name, part in parts.items()]


def command(why: str, line: str) -> dict[str, str]:
    return {"host": "here", "why": why, "line": line}


def verdict(number: int) -> tuple[str, str]:
    if number == 0:
        return "inconclusive", "not enough history: 0 of 3 runs"
    if number == 2 * RUNS_A_REVISION:
        return "better", "throughput at 64 users is 14.2 % above the median of 10 runs"
    if number == WORSE:
        return "worse", "throughput at 32 users is 22.5 % below the median of 10 runs"
    return "same", "within 5 %"


def measured(users: int, number: int, moment: datetime, chance: random.Random) -> Measurement:
    """A server that saturates: a plausible shape, nobody's figures."""
    speed = (1, 1.12, 1.27, 1.45)[number // RUNS_A_REVISION] * chance.gauss(1, 0.015) * (0.78 if number == WORSE else 1)
    room = (14, 20, 22, 34)[number // RUNS_A_REVISION]
    rate = speed * 420 * users / (users + room)
    tpot = users / rate
    ttft = 0.04 / speed + 0.012 * users * users / room
    middles = {"ttft": (ttft, 0.35), "itl": (tpot, 0.2), "tpot": (tpot, 0.1), "e2e": (ttft + 127 * tpot, 0.08)}
    values = {name: spread(*middle, chance) for name, middle in middles.items()}
    invalid = number == 12 and users == 32
    suspect = number == 3 * RUNS_A_REVISION and users == 64
    return Measurement(
        users=users,
        spawn_rate=float(users),
        processes=1,
        started_at=moment.timestamp() - 60,
        window_s=60.0,
        requests=round(rate * 60 / 128),
        errors={"timeout": 41} if invalid else {},
        prompt_tokens=round(rate * 60),
        output_tokens=round(rate * 60),
        requests_per_s=rate / 128,
        output_tokens_per_s=rate,
        **{name: distribution(found) for name, found in values.items()},
        validity=Validity.INVALID if invalid else Validity.SUSPECT if suspect else Validity.VALID,
        reasons=("12.4% of the requests failed",) if invalid else ("the load was 3.1% below what was asked",) * suspect,
        client={"cpu_share": 0.05 + users / 300, "late_share": 0.0, "send_lag_p99_s": 0.0004},
        server={"generation_tokens": round(rate * 60), "prefix_cache_hits": 0.0, "num_preemptions": 0.0},
        histograms={name: shape for name, found in values.items() if (shape := histogram(found))},
        goodput=Goodput({"ttft_s": 1.0}, round(rate * 50 / 128), 50 / 60, rate * 50 / 60 / 128),
        series={
            "server": through(users, rate),
            "gpus": {"at_s": [5.0, 25.0, 45.0], "use": [0.2, 0.9, 0.88], "power_w": [90.0, 610.0, 600.0]},
        },
    )


def through(users: int, rate: float) -> dict[str, list[float]]:
    """What the server did through a cell of a minute."""
    moments = [float(second) for second in range(0, 61, 3)]
    return {
        "at_s": moments,
        "running": [min(users, 2.0 + second) for second in moments],
        "waiting": [max(0.0, users / 4 - second / 8) for second in moments],
        "kv_use": [min(0.9, users / 80) * (1 - math.exp(-second / 9)) for second in moments],
        "generation_tokens": [rate * second for second in moments],
    }


def spread(middle: float, width: float, chance: random.Random) -> list[float]:
    return [middle * math.exp(chance.gauss(0, width)) for _ in range(400)]
