"""A cell's files become one measurement."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slipway.errors import LoadTestFailed
from slipway.results import client as health
from slipway.results import definitions
from slipway.results.goodput import goodput
from slipway.results.gpus import GPUS_FILE, gpu_figures, gpu_series, inside, token_costs
from slipway.results.histogram import histogram
from slipway.results.measurement import Distribution, Measurement
from slipway.results.parquet import load_cell_requests
from slipway.results.percentiles import distribution
from slipway.results.plan import LoadPlan
from slipway.results.prometheus import difference, parse_metrics
from slipway.results.rows import CUT, Row
from slipway.results.series import SERVER_FILE, Series, load_lines, server_figures, server_series
from slipway.results.validity import Guard, answer_guards, client_guards, gpu_guards, judge, server_guards

Values = Sequence[float] | Mapping[float, int]
"""Each value, or how often it was seen."""

WINDOW_FILE = "window.json"
METRICS_FILES = ("metrics-start.txt", "metrics-end.txt")
"""The server's ``/metrics`` as the load generator read it at the window's two ends."""


@dataclass(frozen=True)
class Window:
    """The measured part of a cell, in nanoseconds since the epoch."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9

    def holds(self, moment_ns: int) -> bool:
        return self.start_ns <= moment_ns < self.end_ns


def measure(folder: Path, plan: LoadPlan, server: Mapping[str, float] | None = None) -> Measurement:
    """What the rows of all load processes of a cell say, judged. Raises LoadTestFailed where its files are not whole.

    ``server`` holds differences of the server's counters over the window, by the names of
    :data:`slipway.results.prometheus.COUNTERS`; without it, those that the load generator read itself.
    """
    window, rows, clients = load_window(folder), list(load_cell_requests(folder)), health.load_clients(folder)
    ended = [row for row in rows if window.holds(row.ended_ns) and row.error != CUT]
    good = [row for row in ended if not row.error]
    arrived = {row.id: definitions.tokens_between(row, window.start_ns, window.end_ns) for row in rows}
    delivered = sum(arrived[row.id] for row in rows if row.error in ("", CUT))
    beside = _beside(folder, plan, window, delivered, server)
    client = health.figures(rows, clients, plan.users_mean, window.start_ns, window.end_ns)
    hosts = health.figures_by_host(rows, clients, window.start_ns, window.end_ns)
    measured = _measurement(plan, window, ended, delivered)
    ttft, turn = measured.ttft, measured.e2e if plan.users else None
    gauges = server_figures(beside.series.get("server", {}))
    arrived_tokens, known_tokens = sum(arrived.values()), _known_tokens(rows, window, plan.shared_prefix_tokens)
    on_their_way_tokens = arrived_tokens / window.seconds * _way_s(measured, gauges.get("waiting_mean", 0.0))
    guards = [
        Guard(1 - len(clients) / plan.processes, 0.0, 0.0, "{} of the load processes left no figures"),
        *answer_guards(len(good), len(ended) - len(good), _ended_early(good, plan)),
        *(client_guards(client, ttft, hosts, turn) if ttft else []),
        *server_guards(beside.counters, arrived_tokens, known_tokens, on_their_way_tokens),
        *gpu_guards(beside.gpu),
    ]
    validity, reasons = judge(guards)
    return replace(
        measured,
        validity=validity,
        reasons=reasons,
        client={**client, **(_by_host(hosts) if plan.workers else {})},
        server={**beside.counters, **gauges},
        gpu=beside.gpu,
        series=beside.series,
    )


def _way_s(measured: Measurement, waiting: float) -> float:
    """How long a token may be on its way from the engine to here: as long as a first token, its wait for a turn apart.

    That wait is, in the mean, how many requests wait over how many are served in a second (Little's law).
    """
    if measured.ttft is None:
        return 0.0
    return max(measured.ttft.minimum, measured.ttft.p50 - waiting / measured.requests_per_s)


def _by_host(hosts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The health of each host under its own name: ``cpu_share[load-2]``; the conducting machine's is ``[here]``."""
    return {f"{name}[{host or 'here'}]": value for host, found in hosts.items() for name, value in found.items()}


def load_window(folder: Path) -> Window:
    """The window as it was kept. Raises LoadTestFailed where the load generator did not come that far."""
    path = folder / WINDOW_FILE
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return Window(int(read["start_ns"]), int(read["end_ns"]))
    except (OSError, ValueError, KeyError) as error:
        hint = "it did not come to its end; look at its log"
        raise LoadTestFailed(f"the load generator left no {path}: {error!r}", hint=hint) from error


def load_counters(folder: Path) -> dict[str, float]:
    """How far the server's counters went over the window, as the load generator read them; empty where it could not."""
    start, end = (folder / name for name in METRICS_FILES)
    if not (start.exists() and end.exists()):
        return {}
    return difference(parse_metrics(start.read_text("utf-8")), parse_metrics(end.read_text("utf-8")))


def _measurement(plan: LoadPlan, window: Window, ended: Sequence[Row], delivered: int) -> Measurement:
    """What the client saw, not judged yet."""
    good = [row for row in ended if not row.error]
    values = metric_values(good)
    return Measurement(
        users=plan.users,
        spawn_rate=plan.spawn_rate,
        processes=plan.processes,
        started_at=window.start_ns / 1e9,
        window_s=window.seconds,
        requests=len(good),
        errors=dict(Counter(row.error for row in ended if row.error)),
        prompt_tokens=sum(row.prompt_tokens for row in good),
        output_tokens=sum(row.output_tokens for row in good),
        requests_per_s=len(good) / window.seconds,
        output_tokens_per_s=delivered / window.seconds,
        ttft=distribution(values["ttft"]),
        itl=distribution(values["itl"]),
        tpot=distribution(values["tpot"]),
        e2e=distribution(values["e2e"]),
        goodput=goodput(ended, plan.slo, window.seconds),
        rate=plan.rate,
        shape=plan.shape,
        scheduled=_scheduled(good),
        histograms={name: found for name, each in values.items() if (found := histogram(each))},
    )


@dataclass(frozen=True)
class _Beside:
    """What was looked at beside the requests."""

    counters: dict[str, float]
    gpu: dict[str, float]
    series: dict[str, Series]


def _beside(
    folder: Path, plan: LoadPlan, window: Window, delivered: int, server: Mapping[str, float] | None
) -> _Beside:
    looks = inside(load_lines(folder / GPUS_FILE), window.start_ns / 1e9, window.end_ns / 1e9)
    gpu = gpu_figures(looks, window.seconds)
    gpu |= token_costs(gpu, plan.price_per_hour, delivered / window.seconds)
    series = {
        "server": server_series(load_lines(folder / SERVER_FILE), window.start_ns),
        "gpus": gpu_series(looks, window.start_ns / 1e9),
    }
    kept = {name: each for name, each in series.items() if each}
    return _Beside(dict(server or load_counters(folder)), gpu, kept)


def metric_values(good: Sequence[Row]) -> dict[str, Values]:
    """TTFT, ITL, TPOT and E2E latency of successful requests, in seconds; ITL is pooled over their tokens, as how often
    each was seen."""
    return {
        "ttft": [definitions.ttft_s(row) for row in good],
        "itl": definitions.counted_itl_s(row for row in good if definitions.counted_exactly(row)),
        "tpot": [tpot for row in good if (tpot := definitions.tpot_s(row)) is not None],
        "e2e": [definitions.e2e_s(row) for row in good],
    }


def _scheduled(good: Sequence[Row]) -> dict[str, Distribution]:
    """Latencies as whoever waited from the due time on saw them."""
    values = {"ttft": [row.first_token_ns for row in good], "e2e": [row.last_token_ns for row in good]}
    waited = {
        name: distribution((moment - row.scheduled_ns) / 1e9 for moment, row in zip(moments, good, strict=True))
        for name, moments in values.items()
    }
    return {name: found for name, found in waited.items() if found}


def _ended_early(good: Sequence[Row], plan: LoadPlan) -> int:
    return sum(row.output_tokens < row.asked_output_tokens for row in good) if plan.ignore_eos else 0


def _known_tokens(rows: Sequence[Row], window: Window, shared: int) -> int:
    """Prompt tokens that may be cache hits: what the chat template added to the requests that were sent inside the
    window, and the prefix that they were asked to share."""
    sent = [row for row in rows if window.holds(row.sent_ns)]
    return sum(max(0, row.prompt_tokens - row.asked_prompt_tokens) + shared for row in sent)
