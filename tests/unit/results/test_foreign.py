"""Results of other tools: which tool wrote a file, and what its fields become."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import SpecError
from slipway.results.foreign import imported
from slipway.results.measurement import Distribution, Validity

DATA = Path(__file__).parents[2] / "data"
PERCENTILES = {"p50": 20.0, "p90": 30.0, "p95": 35.0, "p99": 39.0}


def _guidellm_metric(scale: float = 1.0, count: int = 12, total: float = 0.0) -> dict[str, Any]:
    at = {name: value * scale for name, value in PERCENTILES.items()}
    good = {"mean": 22.0 * scale, "min": 10.0 * scale, "max": 40.0 * scale, "count": count, "total_sum": total}
    return {"successful": {**good, "percentiles": at}, "errored": {"mean": 0.0, "count": 0, "percentiles": {}}}


def _guidellm(strategy: dict[str, Any], count: int = 12) -> dict[str, Any]:
    metrics = {
        "request_totals": {"successful": count, "errored": 2, "incomplete": 1, "total": count + 3},
        "requests_per_second": _guidellm_metric(),
        "output_tokens_per_second": _guidellm_metric(),
        "prompt_token_count": _guidellm_metric(total=384.0),
        "output_token_count": _guidellm_metric(total=192.0),
        "time_to_first_token_ms": _guidellm_metric(count=count),
        "inter_token_latency_ms": _guidellm_metric(count=count),
        "request_latency": _guidellm_metric(scale=0.001, count=count),
    }
    times = {"measure_start_time": 1000.0, "measure_end_time": 1008.0}
    return {"config": {"strategy": strategy}, "metrics": metrics, "scheduler_metrics": times}


IN_SECONDS = Distribution(12, *map(pytest.approx, (0.022, 0.01, 0.02, 0.03, 0.035, 0.039, 0.04)))


def test_a_report_of_guidellm_has_a_cell_for_each_benchmark() -> None:
    strategies = [
        {"type_": "concurrent", "streams": 4, "worker_count": 2},
        {"type_": "constant", "rate": 2.5, "max_concurrency": 512},
        {"type_": "synchronous"},
    ]
    cells = imported({"benchmarks": [_guidellm(each) for each in strategies]})
    assert [cell.load for cell in cells] == ["4 users", "2.5 req/s", "1 users"]
    first = cells[0]
    assert (first.started_at, first.window_s, first.requests, first.errors) == (1000.0, 8.0, 12, {"unknown": 2})
    assert (first.prompt_tokens, first.output_tokens, first.output_tokens_per_s) == (384, 192, 22.0)
    assert first.ttft == first.tpot == first.e2e == IN_SECONDS
    assert (first.itl, first.validity, first.processes) == (None, Validity.SUSPECT, 2)


def test_a_captured_report_of_guidellm() -> None:
    """guidellm 0.8.1 against a server of known schedule, 12 requests of 4 at a time: first tokens after 50 to 75 ms,
    then 63 gaps of 5 to 7.5 ms, as the server meant them. What is not read was left out."""
    [cell] = imported(json.loads((DATA / "guidellm-0.8.1" / "benchmarks.json").read_text()))
    assert (cell.load, cell.requests, cell.errors, cell.output_tokens) == ("4 users", 12, {}, 768)
    assert cell.ttft is not None
    assert cell.tpot is not None
    assert (cell.ttft.count, cell.tpot.count) == (12, 12 * 63)
    assert 0.05 < cell.ttft.minimum < cell.ttft.p50 < cell.ttft.maximum < 0.1
    assert 0.005 < cell.tpot.p50 < 0.01
    assert cell.output_tokens_per_s == pytest.approx(768 / cell.window_s, rel=0.01)


def test_a_benchmark_of_guidellm_in_which_nothing_succeeded() -> None:
    [cell] = imported({"benchmarks": [_guidellm({"streams": 1}, count=0)]})
    assert (cell.requests, cell.ttft, cell.e2e) == (0, None, None)


def _aiperf(phase: dict[str, Any], **changes: Any) -> dict[str, Any]:
    metric = {"unit": "ms", "avg": 22.0, "min": 10.0, "max": 40.0, **PERCENTILES}
    usual = {
        "input_config": {"phases": [{"name": "warmup", "exclude_from_results": True, "concurrency": 1}, phase]},
        "start_time": "2026-01-02T03:04:05.5",
        "end_time": "2026-01-02T03:04:09.5",
        "request_count": {"unit": "requests", "avg": 12.0},
        "request_throughput": {"unit": "requests/sec", "avg": 3.0},
        "output_token_throughput": {"unit": "tokens/sec", "avg": 48.0},
        "input_sequence_length": {"unit": "tokens", "avg": 32.0},
        "total_osl": {"unit": "tokens", "avg": 192.0},
        "time_to_first_token": metric,
        "inter_token_latency": metric,
        "request_latency": metric,
    }
    return usual | changes


def test_a_result_of_aiperf() -> None:
    begun = datetime.fromisoformat("2026-01-02T03:04:05.5").timestamp()
    [cell] = imported(_aiperf({"name": "profiling", "concurrency": 4}, error_request_count={"avg": 1.0}))
    assert (cell.load, cell.started_at, cell.window_s, cell.errors) == ("4 users", begun, 4.0, {"unknown": 1})
    assert (cell.prompt_tokens, cell.output_tokens, cell.requests, cell.output_tokens_per_s) == (384, 192, 12, 48.0)
    assert cell.ttft == cell.tpot == cell.e2e == IN_SECONDS
    assert (cell.itl, cell.validity) == (None, Validity.SUSPECT)


def test_a_captured_result_of_aiperf() -> None:
    """aiperf 0.13.0 against the same server. Its own tokenizer makes 183 tokens of each answer of 64: so its reason."""
    [cell] = imported(json.loads((DATA / "aiperf-0.13.0" / "profile_export_aiperf.json").read_text()))
    assert (cell.load, cell.requests, cell.errors, cell.output_tokens) == ("4 users", 12, {}, 12 * 183)
    assert cell.ttft is not None
    assert cell.e2e is not None
    assert 0.05 < cell.ttft.minimum < cell.ttft.p50 < cell.ttft.maximum < 0.1
    assert (cell.e2e.count, round(cell.window_s, 2)) == (12, 1.54)
    assert "tokens are counted by its own tokenizer" in cell.reasons[0]


def test_a_rate_of_aiperf_and_a_result_without_first_tokens() -> None:
    [cell] = imported(_aiperf({"name": "profiling", "rate": 2.5, "concurrency": 9}, time_to_first_token=None))
    assert (cell.load, cell.ttft) == ("2.5 req/s", None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "no result of a known tool"),
        ({"x": 1}, "no result of a known tool"),
        ({"benchmarks": [{}]}, "not a report of guidellm: KeyError"),
        ({"benchmarks": 7}, "not a report of guidellm: TypeError"),
        ({"input_config": {}}, "not a result of aiperf: KeyError"),
        (_aiperf({"concurrency": 1}, start_time="today"), "not a result of aiperf: ValueError"),
        ({"total_input_tokens": 1}, "not a result of vllm bench serve: KeyError"),
    ],
)
def test_what_is_none_of_them_is_refused(wrong: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        imported(wrong)
