from __future__ import annotations

from typing import Any

import pytest

from slipway.results.gpus import gpu_figures, gpu_series, inside, token_costs


def _card(**changes: Any) -> dict[str, Any]:
    usual = {"index": 0, "use": 0.9, "memory_bytes": 60e9, "sm_clock_hz": 1.9e9, "power_w": 600.0, "slowed": False}
    return usual | changes


def _look(at_s: float, *cards: dict[str, Any], foreign: int = 0) -> dict[str, Any]:
    answer = {"gpus": list(cards), "foreign": [{"pid": 1}] * foreign, "error": ""}
    return {"at_s": at_s, "hosts": {"a": answer, "b": {"gpus": [_card(power_w=500.0)], "foreign": [], "error": ""}}}


def test_figures_are_means_over_gpus_and_time() -> None:
    looks = [_look(1.0, _card(use=0.5, memory_bytes=70e9)), _look(6.0, _card(power_w=700.0, slowed=True), foreign=2)]
    assert gpu_figures(looks, 10.0) == {
        "looks": 2.0,
        "gpus": 2.0,
        "slowed_share": 0.25,
        "foreign_processes": 2.0,
        "use": pytest.approx(0.8),
        "sm_clock_hz": 1.9e9,
        "memory_bytes_max": 70e9,
        "power_w": 1150.0,
        "energy_j": 11_500.0,
    }


def test_what_the_driver_does_not_tell_is_left_out() -> None:
    figures = gpu_figures([_look(1.0, _card(power_w=None))], 10.0)
    assert "power_w" not in figures
    assert "energy_j" not in figures
    assert token_costs(figures, None, 100.0) == {}


def test_only_looks_of_the_window_at_which_a_gpu_was_seen_count() -> None:
    nothing = {"at_s": 3.0, "hosts": {"a": {"gpus": [], "foreign": [], "error": "no nvidia-smi"}}}
    looks = [_look(0.9, _card()), _look(1.0, _card()), nothing, _look(5.0, _card()), _look(5.1, _card())]
    assert [look["at_s"] for look in inside(looks, 1.0, 5.0)] == [1.0, 5.0]
    assert gpu_figures([], 4.0) == {}
    assert gpu_series([], 1.0) == {}


def test_energy_and_money_for_a_million_tokens() -> None:
    costs = token_costs({"power_w": 1000.0}, price_per_hour=36.0, tokens_per_s=500.0)
    assert costs == {"energy_j_per_million_tokens": 2e6, "cost_per_million_tokens": pytest.approx(20.0)}
    assert token_costs({"power_w": 1000.0}, 36.0, 0.0) == {}


def test_the_series_has_a_point_a_look() -> None:
    looks = [_look(10.0 + each, _card(use=0.5)) for each in range(200)]
    series = gpu_series(looks, 10.0)
    assert len(series["at_s"]) == 60
    assert (series["at_s"][0], series["at_s"][-1]) == (0.0, 199.0)
    assert (series["use"][0], series["power_w"][0]) == (pytest.approx(0.7), 1100.0)
