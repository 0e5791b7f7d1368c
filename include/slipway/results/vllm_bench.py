"""Results as ``vllm bench serve --save-result`` writes them: a cell as such a file, and back. With ``--save-detailed``
they have lists of every request, without it only the figures that the tool made of them.

Field names and meanings are those of vLLM 0.32 (``vllm/benchmarks/serve.py``). Its times are milliseconds in the
summary and seconds in the lists.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from slipway.results import definitions
from slipway.results.histogram import histogram
from slipway.results.measurement import Distribution, Measurement, Validity
from slipway.results.percentiles import distribution
from slipway.results.rows import Row
from slipway.results.unreadable import reading

NAMES = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2e": "e2el"}
"""What a metric is called here, and there."""

DATE = "%Y%m%d-%H%M%S"
FOREIGN = (
    "measured by vllm bench serve: TTFT ends at its first message, ITL has a value an event, "
    "and throughput is over the whole run"
)


def exported(measured: Measurement, rows: Sequence[Row], model: str, endpoint: str) -> dict[str, Any]:
    """A cell as such a result. ``rows`` are its requests that ended inside the window; without any, no lists."""
    good = [row for row in rows if not row.error]
    figures: dict[str, Any] = {
        "date": datetime.fromtimestamp(measured.started_at, UTC).strftime(DATE),
        "backend": "openai-chat" if endpoint == "chat" else "openai",
        "model_id": model,
        "num_prompts": measured.requests + sum(measured.errors.values()),
        "request_rate": measured.rate or "inf",
        "max_concurrency": measured.users or None,
        "duration": measured.window_s,
        "completed": measured.requests,
        "failed": sum(measured.errors.values()),
        "total_input_tokens": measured.prompt_tokens,
        "total_output_tokens": measured.output_tokens,
        "request_throughput": measured.requests_per_s,
        "request_goodput": measured.goodput.requests_per_s if measured.goodput else None,
        "output_throughput": measured.output_tokens_per_s,
        "total_token_throughput": measured.output_tokens_per_s + measured.prompt_tokens / measured.window_s,
    }
    for ours, theirs in NAMES.items():
        figures |= _summary(theirs, getattr(measured, ours))
    return figures | (_lists(good, measured.started_at) if good else {})


def imported(result: Mapping[str, Any]) -> Measurement:
    """Such a result as a cell. It is suspect, and so no baseline: its figures are defined otherwise.

    One without lists (``--save-detailed``) has no distributions, since it does not state the least and the most, but
    that of E2E latency; what it states of the others is among the reasons. Raises SpecError where it is no such result.
    """
    with reading("result of vllm bench serve", "run vllm bench serve with --save-result"):
        return _measurement(result)


def _measurement(result: Mapping[str, Any]) -> Measurement:
    failed, detailed = int(result.get("failed", 0)), "ttfts" in result
    values = _values(result) if detailed else _latencies(result, failed)
    rate = 0.0 if result["request_rate"] == "inf" else float(result["request_rate"])
    users = int(result["max_concurrency"] or (0 if rate else result["num_prompts"]))
    return Measurement(
        users=users,
        rate=0.0 if users else rate,
        spawn_rate=float(users or rate),
        processes=1,
        started_at=datetime.strptime(result["date"], DATE).replace(tzinfo=UTC).timestamp(),
        window_s=float(result["duration"]),
        requests=int(result["completed"]),
        errors={"unknown": failed} if failed else {},
        prompt_tokens=int(result["total_input_tokens"]),
        output_tokens=int(result["total_output_tokens"]),
        requests_per_s=float(result["request_throughput"]),
        output_tokens_per_s=float(result["output_throughput"]),
        ttft=distribution(values.get("ttft", ())),
        itl=distribution(values.get("itl", ())),
        tpot=distribution(values.get("tpot", ())),
        e2e=distribution(values.get("e2e", ())),
        validity=Validity.SUSPECT,
        reasons=(FOREIGN,) if detailed else (FOREIGN, _stated(result)),
        histograms={name: found for name, each in values.items() if (found := histogram(each))},
    )


def _values(result: Mapping[str, Any]) -> dict[str, list[float]]:
    """Of the requests that succeeded. Latencies are lists of their own from vLLM 0.32 on, before that sums."""
    lists = (result["ttfts"], result["itls"], result["output_lens"], result["errors"])
    ttfts, itls, lengths, errors = lists
    latencies = result.get("latencies") or [ttft + sum(gaps) for ttft, gaps in zip(ttfts, itls, strict=True)]
    good = [each for each in zip(ttfts, itls, lengths, latencies, errors, strict=True) if not each[4]]
    return {
        "ttft": [ttft for ttft, *_ in good],
        "itl": list(chain.from_iterable(gaps for _, gaps, *_ in good)),
        "tpot": [(latency - ttft) / (length - 1) for ttft, _, length, latency, _ in good if length > 1],
        "e2e": [latency for *_, latency, _ in good],
    }


def _stated(result: Mapping[str, Any]) -> str:
    """What a result without lists says of latencies."""
    names = [f"{figure}_{theirs}_ms" for theirs in NAMES.values() for figure in ("mean", "median", "p99")]
    said = ", ".join(f"{name} {result[name]:.4g}" for name in names if name in result)
    return f"without --save-detailed it has no values of requests; it states {said}"


def _latencies(result: Mapping[str, Any], failed: int) -> dict[str, list[float]]:
    """E2E latencies, which vLLM writes in any case from 0.32 on; which of them failed it does not say then."""
    return {} if failed else {"e2e": [float(each) for each in result.get("latencies", ())]}


def _summary(name: str, found: Distribution | None) -> dict[str, float]:
    if found is None:
        return {}
    percentiles = {f"p{percent}_{name}_ms": getattr(found, f"p{percent}") for percent in (50, 90, 95, 99)}
    seconds = {f"mean_{name}_ms": found.mean, f"median_{name}_ms": found.p50, **percentiles}
    return {key: 1000 * value for key, value in seconds.items()}


def _lists(good: Sequence[Row], started_at: float) -> dict[str, Any]:
    values = {"ttft": [definitions.ttft_s(row) for row in good], "e2el": [definitions.e2e_s(row) for row in good]}
    itls = [list(definitions.itl_s(row)) for row in good]
    values |= {"itl": list(chain.from_iterable(itls))}
    values |= {"tpot": [tpot for row in good if (tpot := definitions.tpot_s(row)) is not None]}
    return {
        **{f"std_{name}_ms": 1000 * statistics.pstdev(each) for name, each in values.items() if each},
        "input_lens": [row.prompt_tokens for row in good],
        "output_lens": [row.output_tokens for row in good],
        "ttfts": values["ttft"],
        "itls": itls,
        "latencies": values["e2el"],
        "start_times": [row.sent_ns / 1e9 - started_at for row in good],
        "errors": [""] * len(good),
    }
