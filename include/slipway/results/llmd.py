"""A cell as a benchmark report of llm-d, version 0.2: JSON that llm-d-benchmark's own tools load.

Field names and units are those of ``llmdbenchmark/analysis/benchmark_report/schema_v0_2.py``, which allows no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from slipway.results.measurement import Distribution, Measurement

VERSION = "0.2"
LATENCIES = {
    "ttft": ("time_to_first_token", "s"),
    "tpot": ("time_per_output_token", "s/token"),
    "itl": ("inter_token_latency", "s/token"),
    "e2e": ("request_latency", "s"),
}
"""What a metric is called there, and its unit."""

Part = dict[str, Any]


def report(measured: Measurement, *, uid: str, revision: str, keywords: list[str], scenario: Part) -> Part:
    """The report of a cell. ``scenario`` is what was served and asked, from :func:`load` and :func:`engine`."""
    said = "; ".join([f"{measured.load}: {measured.validity}", *measured.reasons])
    return {
        "version": VERSION,
        "run": {
            "uid": uid,
            "eid": revision,
            "time": {
                "start": _iso(measured.started_at),
                "end": _iso(measured.started_at + measured.window_s),
                "duration": f"PT{measured.window_s}S",
            },
            "description": said,
            "keywords": [*keywords, str(measured.validity)],
        },
        "scenario": scenario,
        "results": {"request_performance": {"aggregate": _aggregate(measured)}},
    }


def load(measured: Measurement, asked: Mapping[str, Any], tool_version: str) -> Part:
    """The load of a cell; ``asked`` is the part ``benchmark`` of the deployment file, as plain data."""
    traced = measured.shape.startswith("trace ")
    drawn = bool(asked["dataset"] or traced)
    mean = measured.prompt_tokens / measured.requests if measured.requests else 0.0
    standard: Part = {
        "tool": "slipway",
        "tool_version": tool_version,
        "parallelism": measured.processes,
        "source": "sampled" if drawn else "random",
        "input_seq_len": _length("other", mean) if drawn else _length("fixed", asked["prompt_tokens"]),
    }
    if asked["ignore_eos"] and not traced:
        standard["output_seq_len"] = _length("fixed", asked["output_tokens"])
    if shared := asked["shared_prefix_tokens"]:
        groups = {"num_groups": 1, "num_users_per_group": max(1, measured.users), "num_prefixes": 1}
        standard["prefix"] = {"prefix_len": _length("fixed", shared), **groups}
    if measured.rate:
        standard["rate_qps"] = measured.rate
    if measured.users:
        standard["concurrency"] = measured.users
    return {
        "metadata": {"description": measured.load},
        "standardized": standard,
        "native": {"config": {"benchmark": dict(asked), "load": measured.load}},
    }


def engine(model: str, revision: str, *, accelerator: str, gpus: int, parallel: tuple[int, int], native: Part) -> Part:
    """The server; ``parallel`` are its tensor and pipeline parallel sizes, ``native`` its arguments and variables."""
    tensor, pipeline = parallel
    return {
        "metadata": {"label": "vllm", "cfg_id": revision},
        "standardized": {
            "kind": "inference_engine",
            "tool": "vllm",
            "tool_version": "unknown",
            "role": "replica",
            "replicas": 1,
            "model": {"name": model},
            "accelerator": {"model": accelerator, "count": gpus, "parallelism": {"tp": tensor, "pp": pipeline}},
        },
        "native": native,
    }


def _aggregate(measured: Measurement) -> Part:
    failed = sum(measured.errors.values())
    requests: Part = {"total": measured.requests + failed, "failures": failed}
    if measured.requests:
        requests["input_length"] = _mean(measured.prompt_tokens / measured.requests, "count")
        requests["output_length"] = _mean(measured.output_tokens / measured.requests, "count")
    prompt_rate = measured.prompt_tokens / measured.window_s
    latency = {
        name: {"units": unit, **_statistics(found)}
        for ours, (name, unit) in LATENCIES.items()
        if (found := getattr(measured, ours))
    }
    rates = {
        "input_token_rate": _mean(prompt_rate, "tokens/s"),
        "output_token_rate": _mean(measured.output_tokens_per_s, "tokens/s"),
        "total_token_rate": _mean(measured.output_tokens_per_s + prompt_rate, "tokens/s"),
        "request_rate": _mean(measured.requests_per_s, "queries/s"),
    }
    return {"requests": requests, "latency": latency, "throughput": rates}


def _statistics(found: Distribution) -> Part:
    percentiles = {name: getattr(found, name) for name in ("p50", "p90", "p95", "p99")}
    return {"mean": found.mean, "min": found.minimum, **percentiles, "max": found.maximum}


def _mean(value: float, unit: str) -> Part:
    return {"units": unit, "mean": value}


def _length(kind: str, value: float) -> Part:
    return {"distribution": kind, "value": value}


def _iso(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat()
