from __future__ import annotations

from slipway.results.prometheus import difference, parse_metrics

TEXT = """\
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="a{b}\\"c\\""} 100.0
vllm:generation_tokens_total{engine="1",model_name="m"} 23.0
vllm:generation_tokens_created{engine="0",model_name="m"} 1.79e+09
vllm:prompt_tokens_total{engine="0",model_name="m"} 1.5e+03 1795473483000
vllm:request_success_total{engine="0",finished_reason="length"} 7.0
vllm:request_success_total{engine="0",finished_reason="stop"} 1.0
vllm:num_requests_running{engine="0"} 3
vllm:e2e_request_latency_seconds_bucket{le="0.3"} 4.0
vllm:e2e_request_latency_seconds_sum 2.5
process_open_fds 44.0
nonsense
nonsense too
data: {"choices":[]}

"""


def test_samples_are_summed_over_their_labels() -> None:
    found = parse_metrics(TEXT)
    assert found["vllm:generation_tokens_total"] == 123
    assert found["vllm:prompt_tokens_total"] == 1500
    assert found["vllm:num_requests_running"] == 3
    assert found["vllm:e2e_request_latency_seconds_sum"] == 2.5
    assert found["process_open_fds"] == 44
    assert not any("_bucket" in name or "nonsense" in name for name in found)


def test_differences_have_short_names_and_only_known_counters() -> None:
    before = {"vllm:generation_tokens_total": 23.0, "process_open_fds": 40.0}
    assert difference(before, parse_metrics(TEXT)) == {
        "generation_tokens": 100.0,
        "prompt_tokens": 1500.0,
        "requests_finished": 8.0,
    }


def test_a_server_that_was_started_anew_has_a_negative_difference() -> None:
    assert difference({"vllm:prompt_tokens_total": 2000.0}, parse_metrics(TEXT))["prompt_tokens"] < 0
