from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import SpecError
from slipway.results.cell import measure
from slipway.results.measurement import Validity
from slipway.results.plan import LoadPlan
from slipway.results.rows import Row
from slipway.results.vllm_bench import exported, imported

MS = 1_000_000
CAPTURED = Path(__file__).parents[2] / "data" / "vllm-0.32.0" / "bench_serve_detailed.json"
RESULT: dict[str, Any] = {
    "date": "20260102-030405",
    "num_prompts": 3,
    "request_rate": "inf",
    "max_concurrency": 2,
    "duration": 2.0,
    "completed": 2,
    "failed": 1,
    "total_input_tokens": 64,
    "total_output_tokens": 5,
    "request_throughput": 1.0,
    "output_throughput": 2.5,
    "ttfts": [0.1, 0.2, 0.0],
    "itls": [[0.02, 0.04], [0.03], []],
    "output_lens": [3, 2, 0],
    "latencies": [0.16, 0.23, 0.0],
    "errors": ["", "", "Connection refused"],
}


def test_a_result_becomes_a_suspect_cell() -> None:
    cell = imported(RESULT)
    assert (cell.users, cell.rate, cell.requests, cell.errors) == (2, 0.0, 2, {"unknown": 1})
    assert (cell.window_s, cell.output_tokens, cell.output_tokens_per_s, cell.started_at) == (2.0, 5, 2.5, 1767323045.0)
    assert [each.count for each in (cell.ttft, cell.itl, cell.tpot, cell.e2e) if each] == [2, 3, 2, 2]
    assert cell.ttft is not None
    assert cell.ttft.p50 == pytest.approx(0.15)
    assert cell.tpot is not None
    assert (cell.tpot.minimum, cell.tpot.maximum) == (pytest.approx(0.03), pytest.approx(0.03))
    assert cell.validity == Validity.SUSPECT
    assert set(cell.histograms) == {"ttft", "itl", "tpot", "e2e"}


def test_a_result_before_latencies_were_a_list() -> None:
    cell = imported({name: value for name, value in RESULT.items() if name != "latencies"})
    assert cell.e2e is not None
    assert (cell.e2e.minimum, cell.e2e.maximum) == (pytest.approx(0.16), pytest.approx(0.23))


def test_a_captured_result_gives_the_figures_that_it_states_itself() -> None:
    """vLLM 0.32.0 on CPU, 44 requests of 4 at a time; texts, the tokenizer's path and digits past 0.1 us left out."""
    result = json.loads(CAPTURED.read_text())
    cell = imported(result)
    assert (cell.load, cell.requests, cell.errors) == ("4 users", 44, {})
    for ours, theirs in (("ttft", "ttft"), ("tpot", "tpot"), ("itl", "itl")):
        found = getattr(cell, ours)
        stated = [result[f"{figure}_{theirs}_ms"] for figure in ("mean", "median", "p99")]
        assert [1000 * found.mean, 1000 * found.p50, 1000 * found.p99] == pytest.approx(stated, rel=1e-4)


def test_without_save_detailed_it_has_no_distributions_and_says_what_it_states() -> None:
    """The tool leaves exactly these lists out then (``vllm/benchmarks/serve.py``)."""
    lists = ("input_lens", "output_lens", "start_times", "ttfts", "itls", "generated_texts", "errors")
    result = {name: value for name, value in json.loads(CAPTURED.read_text()).items() if name not in lists}
    cell = imported(result)
    assert (cell.load, cell.requests, cell.output_tokens_per_s) == ("4 users", 44, result["output_throughput"])
    assert (cell.ttft, cell.itl, cell.tpot) == (None, None, None)
    assert imported(result | {"failed": 1}).e2e is None
    assert cell.validity == Validity.SUSPECT
    assert f"median_ttft_ms {result['median_ttft_ms']:.4g}" in cell.reasons[1]


def test_a_captured_result_without_save_detailed() -> None:
    """vLLM 0.32.0 against a server of known schedule, 12 requests of 4 at a time; the tokenizer's path left out."""
    cell = imported(json.loads(CAPTURED.with_name("bench_serve.json").read_text()))
    assert (cell.load, cell.requests, cell.errors, cell.output_tokens) == ("4 users", 12, {}, 768)
    assert (cell.ttft, cell.validity) == (None, Validity.SUSPECT)
    assert cell.e2e is not None
    assert (cell.e2e.count, cell.e2e.maximum) == (12, 0.625847834002343)
    assert "median_ttft_ms 70.33" in cell.reasons[1]


@pytest.mark.parametrize(
    ("asked", "load"),
    [
        ({"request_rate": 12.5, "max_concurrency": None}, "12.5 req/s"),
        ({"request_rate": 12.5, "max_concurrency": 4}, "4 users"),
        ({"max_concurrency": None}, "3 users"),
    ],
)
def test_the_load_is_the_concurrency_or_the_rate(asked: dict[str, Any], load: str) -> None:
    assert imported(RESULT | asked).load == load


@pytest.mark.parametrize("wrong", [{"ttfts": None}, {"itls": [[]]}, {"date": "today"}, {"duration": None}])
def test_what_is_no_such_result_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"not a result of vllm bench serve.*\n.*--save-result"):
        imported(RESULT | wrong)


def test_a_cell_comes_back_from_what_was_exported(tmp_path: Path, row: Callable[..., Row]) -> None:
    rows = [row(id=f"r{at}", sent_ns=(1000 + at) * MS, ended_ns=(1161 + at) * MS) for at in range(20)]
    (tmp_path / "rows-1.jsonl").write_text("".join(f"{each.to_json()}\n" for each in rows))
    (tmp_path / "window.json").write_text('{"start_ns": 1000000000, "end_ns": 2000000000}')
    plan = LoadPlan(base_url="http://h:1", model="m", users=20, seconds=1.0, folder=str(tmp_path), output_tokens=4)
    measured = measure(tmp_path, plan)
    result = json.loads(json.dumps(exported(measured, rows, "m", "chat")))
    assert (result["backend"], result["max_concurrency"], result["request_rate"]) == ("openai-chat", 20, "inf")
    assert measured.ttft is not None
    assert result["median_ttft_ms"] == pytest.approx(1000 * measured.ttft.p50)
    assert result["p99_e2el_ms"] > result["p90_e2el_ms"] > 0
    again = imported(result)
    for name in ("ttft", "itl", "tpot", "e2e"):
        assert vars(getattr(again, name)) == pytest.approx(vars(getattr(measured, name)))
    same = ("users", "requests", "output_tokens", "output_tokens_per_s", "requests_per_s", "window_s", "started_at")
    assert [getattr(again, name) for name in same] == [getattr(measured, name) for name in same]


def test_without_requests_there_are_no_lists(row: Callable[..., Row]) -> None:
    cell = replace(imported(RESULT), users=0, rate=2.0)
    result = exported(cell, [], "m", "completions")
    assert (result["backend"], result["max_concurrency"], result["request_rate"]) == ("openai", None, 2.0)
    assert "ttfts" not in result
