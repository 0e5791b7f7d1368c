"""Results of guidellm: the report that it writes as JSON, one cell for each of its benchmarks.

Field names are those of guidellm 0.8 (``guidellm/benchmark/schemas``). Latencies are milliseconds, but the requests'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.results.measurement import Distribution, Measurement, Validity
from slipway.results.unreadable import reading

FOREIGN = (
    "measured by guidellm: what it calls ITL is one value a request, weighted by its tokens (here TPOT), percentiles "
    "are values that were seen, and the rates are means over its time"
)

MS = 1000.0


def imported(report: Mapping[str, Any]) -> list[Measurement]:
    """Each benchmark as a cell. They are suspect, and so no baseline. Raises SpecError where it is no such report."""
    with reading("report of guidellm", "give the benchmarks.json that guidellm wrote"):
        return [_cell(each) for each in report["benchmarks"]]


def _cell(benchmark: Mapping[str, Any]) -> Measurement:
    metrics, times = benchmark["metrics"], benchmark["scheduler_metrics"]
    totals, (users, rate) = metrics["request_totals"], _load(benchmark["config"]["strategy"])
    start_s = float(times["measure_start_time"])
    return Measurement(
        users=users,
        rate=rate,
        spawn_rate=float(users or rate),
        processes=int(benchmark["config"]["strategy"].get("worker_count") or 1),
        started_at=start_s,
        window_s=float(times["measure_end_time"]) - start_s,
        requests=int(totals["successful"]),
        errors={"unknown": int(totals["errored"])} if totals["errored"] else {},
        prompt_tokens=int(_good(metrics, "prompt_token_count")["total_sum"]),
        output_tokens=int(_good(metrics, "output_token_count")["total_sum"]),
        requests_per_s=float(_good(metrics, "requests_per_second")["mean"]),
        output_tokens_per_s=float(_good(metrics, "output_tokens_per_second")["mean"]),
        ttft=_distribution(_good(metrics, "time_to_first_token_ms"), MS),
        itl=None,
        tpot=_distribution(_good(metrics, "inter_token_latency_ms"), MS),
        e2e=_distribution(_good(metrics, "request_latency"), 1.0),
        validity=Validity.SUSPECT,
        reasons=(FOREIGN,),
    )


def _load(strategy: Mapping[str, Any]) -> tuple[int, float]:
    """Users and rate of a strategy. One without either asks as fast as it may, as so many users."""
    if strategy.get("rate"):
        return 0, float(strategy["rate"])
    return int(strategy.get("streams") or strategy.get("max_concurrency") or 1), 0.0


def _good(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A metric over the requests that succeeded."""
    found: Mapping[str, Any] = metrics[name]["successful"]
    return found


def _distribution(found: Mapping[str, Any], scale: float) -> Distribution | None:
    if not found["count"]:
        return None
    at = found["percentiles"]
    values = (found["mean"], found["min"], *(at[name] for name in ("p50", "p90", "p95", "p99")), found["max"])
    return Distribution(int(found["count"]), *(float(value) / scale for value in values))
