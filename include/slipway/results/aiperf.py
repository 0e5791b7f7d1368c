"""Results of aiperf: its ``profile_export_aiperf.json`` as a cell.

Field names are those of aiperf 0.13 (``aiperf/common/models/export_models.py``). Each metric has its unit beside it.
Its times name no zone: they are taken for this machine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from slipway.results.measurement import Distribution, Measurement, Validity
from slipway.results.unreadable import reading

FOREIGN = (
    "measured by aiperf: what it calls ITL is one value a request (here TPOT), tokens are counted by its own tokenizer "
    "unless it was told otherwise, and throughput is over the whole run"
)
UNITS_S = {"ms": 0.001, "s": 1.0, "sec": 1.0, "us": 1e-6, "ns": 1e-9}


def imported(result: Mapping[str, Any]) -> Measurement:
    """The cell. It is suspect, and so no baseline. Raises SpecError where it is no such result."""
    with reading("result of aiperf", "give the profile_export_aiperf.json that aiperf profile wrote"):
        return _measurement(result)


def _measurement(result: Mapping[str, Any]) -> Measurement:
    begin, end = (datetime.fromisoformat(result[name]) for name in ("start_time", "end_time"))
    users, rate = _load(result["input_config"])
    failed = int(_mean(result, "error_request_count"))
    return Measurement(
        users=users,
        rate=rate,
        spawn_rate=float(users or rate),
        processes=1,
        started_at=begin.timestamp(),
        window_s=_mean(result, "benchmark_duration") or (end - begin).total_seconds(),
        requests=int(result["request_count"]["avg"]),
        errors={"unknown": failed} if failed else {},
        prompt_tokens=round(_mean(result, "total_isl") or _summed(result, "input_sequence_length")),
        output_tokens=round(_mean(result, "total_osl") or _summed(result, "output_sequence_length")),
        requests_per_s=float(result["request_throughput"]["avg"]),
        output_tokens_per_s=float(result["output_token_throughput"]["avg"]),
        ttft=_distribution(result, "time_to_first_token"),
        itl=None,
        tpot=_distribution(result, "inter_token_latency"),
        e2e=_distribution(result, "request_latency"),
        validity=Validity.SUSPECT,
        reasons=(FOREIGN,),
    )


def _load(asked: Mapping[str, Any]) -> tuple[int, float]:
    """Users and rate of the phase that was measured; what is neither, such as a trace, counts as one user."""
    phase = next(each for each in asked["phases"] if not each.get("exclude_from_results"))
    if rate := phase.get("rate"):
        return 0, float(rate)
    return int(phase.get("concurrency") or 1), 0.0


def _mean(result: Mapping[str, Any], name: str) -> float:
    """A metric that is one number; 0 where the result lacks it."""
    return float((result.get(name) or {}).get("avg") or 0.0)


def _summed(result: Mapping[str, Any], name: str) -> float:
    return _mean(result, name) * _mean(result, "request_count")


def _distribution(result: Mapping[str, Any], name: str) -> Distribution | None:
    found = result.get(name)
    if not found:
        return None
    scale = UNITS_S[found["unit"]]
    values = (found[each] for each in ("avg", "min", "p50", "p90", "p95", "p99", "max"))
    count = int(found.get("count") or _mean(result, "request_count"))
    return Distribution(count, *(float(value) * scale for value in values))
