from __future__ import annotations

from pathlib import Path

import pytest

from slipway.results.prometheus import reading
from slipway.results.series import load_lines, moments_ns, server_figures, server_line, server_series

CAPTURED = Path(__file__).parents[2] / "data" / "vllm-0.32.0" / "metrics.txt"
S = 1_000_000_000


@pytest.mark.parametrize(("seconds", "looks"), [(0.5, 2), (1, 2), (10, 11), (59, 60), (60, 60), (3600, 60)])
def test_looks_are_bounded_and_lie_at_both_ends(seconds: float, looks: int) -> None:
    start, end = 1_700_000_000 * S, 1_700_000_000 * S + int(seconds * S)
    moments = moments_ns(start, end)
    assert (len(moments), moments[0], moments[-1]) == (looks, start, end)
    assert moments == sorted(moments)


def test_a_reading_of_the_true_server_has_everything() -> None:
    assert reading(CAPTURED.read_text()) == {
        "running": 0.0,
        "waiting": 0.0,
        "preemptions": 0.0,
        "generation_tokens": 201.0,
        "kv_use": 0.0,
    }


def test_requests_are_summed_over_engines_and_the_fullest_cache_counts() -> None:
    running = 'vllm:num_requests_running{engine="0"} 3\nvllm:num_requests_running{engine="1"} 4\n'
    text = f'{running}vllm:kv_cache_usage_perc{{engine="0"}} 0.25\nvllm:kv_cache_usage_perc{{engine="1"}} 0.75\n'
    assert reading(text) == {"running": 7.0, "kv_use": 0.75}
    assert reading("up 1\n") == {}


def test_counters_begin_at_nothing(tmp_path: Path) -> None:
    said = [{"running": 2.0, "generation_tokens": 500.0 + 10 * each, "kv_use": each / 10} for each in range(3)]
    path = tmp_path / "server.jsonl"
    path.write_text("".join(f"{server_line((5 + at) * S, each)}\n" for at, each in enumerate(said)) + '{"at_ns": 9')
    series = server_series(load_lines(path), 5 * S)
    assert series == {
        "at_s": [0.0, 1.0, 2.0],
        "running": [2.0] * 3,
        "kv_use": [0.0, 0.1, 0.2],
        "generation_tokens": [0.0, 10.0, 20.0],
    }
    assert server_figures(series) == {"running_mean": 2.0, "kv_use_max": 0.2}


def test_a_server_that_was_not_looked_at_has_no_series(tmp_path: Path) -> None:
    assert server_series(load_lines(tmp_path / "server.jsonl"), 0) == {}
    assert server_figures({}) == {}
    assert server_series([{"at_ns": 5.0}, {"at_ns": 6.0}], 0) == {}
