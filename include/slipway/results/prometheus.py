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

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{.*\})?\s+(\S+)(?:\s+-?\d+)?$")


def parse_metrics(text: str) -> dict[str, float]:
    """Every sample by its name, summed over its labels; a histogram's buckets are left out."""
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
