"""vLLM's own counters, from the text of its ``/metrics``."""

from __future__ import annotations

import re
from collections.abc import Mapping

COUNTERS = {
    "generation_tokens": "vllm:generation_tokens_total",
    "prompt_tokens": "vllm:prompt_tokens_total",
    "prefix_cache_queries": "vllm:prefix_cache_queries_total",
    "prefix_cache_hits": "vllm:prefix_cache_hits_total",
    "preemptions": "vllm:num_preemptions_total",
    "requests_finished": "vllm:request_success_total",
}
"""What a measurement calls a counter, and what vLLM 0.32 and 0.33 call it. Hits and queries are in tokens."""

GAUGES = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}
KV_USE = "vllm:kv_cache_usage_perc"
SAMPLED_COUNTERS = ("preemptions", "generation_tokens")
"""What is looked at through a cell, besides its two ends."""

Reading = dict[str, float]
"""What a server does at one moment, by short names: running, waiting, kv_use, preemptions, generation_tokens."""

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{.*\})?\s+([-+]?(?:[0-9][-+0-9.eE]*|Inf|NaN))(?:\s+-?\d+)?$")


def parse_metrics(text: str) -> dict[str, float]:
    """Every sample by its name, summed over its labels; a histogram's buckets are left out, and what is no sample."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match and not match[1].endswith("_bucket"):
            found[match[1]] = found.get(match[1], 0.0) + float(match[2])
    return found


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """How far each of :data:`COUNTERS` went from one reading to the next, by its short name.

    One that vLLM does not report is left out. A negative value means that the server was started anew in between.
    """
    return {name: after[full] - before.get(full, 0.0) for name, full in COUNTERS.items() if full in after}


def reading(text: str) -> Reading:
    """What a server does now, as :data:`GAUGES` and two counters; without those that it does not report.

    Requests are summed over the engines; of several KV caches it is the fullest.
    """
    found = parse_metrics(text)
    now = {name: found[full] for name, full in GAUGES.items() if full in found}
    counted = {name: found[COUNTERS[name]] for name in SAMPLED_COUNTERS if COUNTERS[name] in found}
    fill = [float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(KV_USE)]
    return {**now, **counted, **({"kv_use": max(fill)} if fill else {})}
