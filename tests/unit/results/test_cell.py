from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import LoadTestFailed
from slipway.results.cell import METRICS_FILES, WINDOW_FILE, measure
from slipway.results.client import Client
from slipway.results.goodput import Goodput, Slo
from slipway.results.gpus import GPUS_FILE
from slipway.results.histogram import Histogram
from slipway.results.measurement import Validity
from slipway.results.plan import LoadPlan
from slipway.results.rows import CUT, NAMES, Row
from slipway.results.series import SERVER_FILE

MS = 1_000_000
START, END = 1000 * MS, 2000 * MS
Make = Callable[..., Row]


def _plan(folder: Path, **changes: Any) -> LoadPlan:
    given: dict[str, Any] = {"users": 1, "seconds": 1.0, "output_tokens": 4, "folder": str(folder)}
    return LoadPlan(base_url="http://h:1", model="m", **(given | changes))


def _cell(folder: Path, rows: Iterable[Row], *, clients: int = 1) -> None:
    (folder / WINDOW_FILE).write_text(json.dumps({"start_ns": START, "end_ns": END}))
    (folder / "rows-1.jsonl").write_text("".join(f"{row.to_json()}\n" for row in rows))
    for number in range(clients):
        (folder / f"clients-{number}.json").write_text(json.dumps(asdict(Client(0.1, 1.0, 100, 0, 0.0))))


def _at(row: Make, name: str, sent_ms: int, **changes: Any) -> Row:
    """The usual request, sent at ``sent_ms``: its last token 160 ms later, its end 1 ms after that."""
    usual = row()
    moments = [name for name in NAMES if name.endswith("_ns")]
    moved = {moment: getattr(usual, moment) + (sent_ms - 1000) * MS for moment in moments}
    return row(id=name, **(moved | changes))


def _back_to_back(row: Make) -> list[Row]:
    """One user's requests, one after the other from 900 ms on: six end inside the window, two lie across its ends."""
    return [_at(row, f"r{number}", 900 + 161 * number) for number in range(8)]


def test_a_valid_cell(tmp_path: Path, row: Make) -> None:
    _cell(tmp_path, _back_to_back(row))
    measured = measure(tmp_path, _plan(tmp_path))
    assert (measured.validity, measured.reasons) == (Validity.VALID, ())
    assert (measured.users, measured.processes, measured.started_at, measured.window_s) == (1, 1, 1.0, 1.0)
    assert (measured.requests, measured.requests_per_s, measured.errors) == (6, 6.0, {})
    assert (measured.prompt_tokens, measured.output_tokens) == (72, 24)
    assert measured.ttft is not None
    assert (measured.ttft.count, measured.ttft.p50) == (6, pytest.approx(0.1))
    assert measured.itl is not None
    assert (measured.itl.count, measured.itl.p99) == (18, pytest.approx(0.02))
    assert measured.tpot is not None
    assert measured.e2e is not None
    assert (measured.tpot.p50, measured.e2e.p50) == (pytest.approx(0.02), pytest.approx(0.16))
    assert measured.client["offered_share"] == pytest.approx(1.0)
    assert measured.server == {}
    assert measured.histograms["ttft"] == Histogram(-32, (6,))
    assert {name: sum(each.counts) for name, each in measured.histograms.items()} == {
        "ttft": 6,
        "tpot": 6,
        "e2e": 6,
        "itl": 18,
    }


def test_tokens_per_second_are_those_that_arrived_inside_the_window(tmp_path: Path, row: Make) -> None:
    rows = _back_to_back(row)
    _cell(tmp_path, rows)
    arrivals = [row.first_token_ns + gap * 20 * MS for row in rows for gap in range(4)]
    assert measure(tmp_path, _plan(tmp_path)).output_tokens_per_s == sum(START <= each < END for each in arrivals)


@pytest.mark.parametrize(("waiting", "apart"), [(0.0, "10.0%"), (0.18, "13.0%"), (9.0, "14.0%")])
def test_tokens_on_their_way_are_those_of_a_first_tokens_time_less_its_wait_for_a_turn(
    tmp_path: Path, row: Make, waiting: float, apart: str
) -> None:
    """Of six requests a second 0.18 wait, so each for 30 ms; a TTFT is 100 ms, and 60 ms once."""
    rows = _back_to_back(row)
    rows[3] = replace(rows[3], sent_ns=rows[3].sent_ns + 40 * MS, scheduled_ns=rows[3].scheduled_ns + 40 * MS)
    _cell(tmp_path, rows)
    readings = [{"at_ns": START + at, "waiting": waiting} for at in (0, 900 * MS)]
    (tmp_path / SERVER_FILE).write_text("".join(f"{json.dumps(each)}\n" for each in readings))
    arrived = measure(tmp_path, _plan(tmp_path)).output_tokens_per_s
    reasons = measure(tmp_path, _plan(tmp_path), {"generation_tokens": arrived * 1.2}).reasons
    assert f"the server's count of output tokens is {apart} off what arrived: has it other clients?" in reasons


def test_failures_are_counted_by_kind_and_cut_requests_are_neither(tmp_path: Path, row: Make) -> None:
    rows = _back_to_back(row)
    failed = [_at(row, f"f{at}", at, error="http_503", output_tokens=0) for at in (1100, 1200)]
    failed += [_at(row, "f3", 1100, error="timeout", ended_ns=END), _at(row, "c", 1500, error=CUT, ended_ns=END - 1)]
    _cell(tmp_path, rows + failed)
    measured = measure(tmp_path, _plan(tmp_path))
    assert (measured.requests, measured.errors) == (6, {"http_503": 2})
    assert measured.validity == Validity.INVALID
    assert measured.reasons[0] == "25.0% of the requests failed"


def test_tokens_of_failed_requests_are_no_throughput_but_the_server_made_them(tmp_path: Path, row: Make) -> None:
    failed = [_at(row, f"f{number}", 1200, error="connect_reset", output_tokens=0) for number in range(10)]
    _cell(tmp_path, [*_back_to_back(row), *failed])
    alone = measure(tmp_path, _plan(tmp_path), {"generation_tokens": 24.0})
    assert alone.output_tokens_per_s < 30
    assert any("server's count of output tokens" in reason for reason in alone.reasons)
    together = measure(tmp_path, _plan(tmp_path), {"generation_tokens": alone.output_tokens_per_s + 40})
    assert not any("server's count" in reason for reason in together.reasons)


def test_a_load_process_without_figures_makes_it_invalid(tmp_path: Path, row: Make) -> None:
    _cell(tmp_path, _back_to_back(row), clients=3)
    measured = measure(tmp_path, _plan(tmp_path, processes=4))
    assert measured.validity == Validity.INVALID
    assert measured.reasons == ("25.0% of the load processes left no figures",)


def test_answers_that_ended_early_count_only_where_they_must_not(tmp_path: Path, row: Make) -> None:
    _cell(tmp_path, [replace(each, asked_output_tokens=5) for each in _back_to_back(row)])
    assert measure(tmp_path, _plan(tmp_path)).reasons == ("100.0% of the answers ended early",)
    assert measure(tmp_path, _plan(tmp_path, ignore_eos=False)).validity == Validity.VALID


def test_inexact_answers_give_no_itl(tmp_path: Path, row: Make) -> None:
    _cell(tmp_path, [_at(row, f"r{number}", 900 + 161 * number, counted_tokens=3) for number in range(8)])
    measured = measure(tmp_path, _plan(tmp_path))
    assert measured.itl is None
    assert measured.tpot is not None
    assert measured.validity == Validity.INVALID


def test_the_servers_counters_are_those_at_the_windows_ends_unless_given(tmp_path: Path, row: Make) -> None:
    _cell(tmp_path, _back_to_back(row))
    for name, value in zip(METRICS_FILES, (100, 124), strict=True):
        (tmp_path / name).write_text(f'vllm:generation_tokens_total{{engine="0"}} {value}\n')
    assert measure(tmp_path, _plan(tmp_path)).server == {"generation_tokens": 24.0}
    assert measure(tmp_path, _plan(tmp_path), {"prompt_tokens": 1.0}).server == {"prompt_tokens": 1.0}


def test_the_chat_template_may_be_in_the_prefix_cache(tmp_path: Path, row: Make) -> None:
    """Each request has 12 prompt tokens, 9 of them the prompt's own; six were sent inside the window."""
    _cell(tmp_path, _back_to_back(row))
    template = {"prefix_cache_queries": 72.0, "prefix_cache_hits": 18.0}
    assert measure(tmp_path, _plan(tmp_path), template).validity == Validity.VALID
    assert measure(tmp_path, _plan(tmp_path), {**template, "prefix_cache_hits": 36.0}).validity == Validity.INVALID


def test_latencies_from_the_due_time_stand_beside_those_from_the_send(tmp_path: Path, row: Make) -> None:
    _cell(tmp_path, [replace(each, scheduled_ns=each.sent_ns - 10 * MS) for each in _back_to_back(row)])
    measured = measure(tmp_path, _plan(tmp_path, users=0, rate=6.0))
    assert (measured.users, measured.rate) == (0, 6.0)
    assert measured.ttft is not None
    assert measured.ttft.p50 == pytest.approx(0.1)
    assert {name: each.p50 for name, each in measured.scheduled.items()} == pytest.approx({"ttft": 0.11, "e2e": 0.17})


def test_a_prefix_that_was_to_be_shared_may_be_in_the_prefix_cache(tmp_path: Path, row: Make) -> None:
    _cell(tmp_path, _back_to_back(row))
    hits = {"prefix_cache_queries": 72.0, "prefix_cache_hits": 48.0}
    shared = _plan(tmp_path, prompt_tokens=9, shared_prefix_tokens=5)
    assert measure(tmp_path, shared, hits).validity == Validity.VALID
    assert measure(tmp_path, _plan(tmp_path), hits).validity == Validity.INVALID


def test_what_was_looked_at_beside_the_requests_is_in_the_cell(tmp_path: Path, row: Make) -> None:
    _cell(tmp_path, _back_to_back(row))
    readings = [{"at_ns": START + at, "running": 1.0, "generation_tokens": 5.0} for at in (0, 900 * MS)]
    (tmp_path / SERVER_FILE).write_text("".join(f"{json.dumps(each)}\n" for each in readings))
    card = {"index": 0, "use": 1.0, "memory_bytes": 1.0, "sm_clock_hz": 1e9, "power_w": 700.0, "slowed": True}
    looks = [{"at_s": at, "hosts": {"a": {"gpus": [card], "foreign": []}}} for at in (0.5, 1.5)]
    (tmp_path / GPUS_FILE).write_text("".join(f"{json.dumps(each)}\n" for each in looks))
    measured = measure(tmp_path, _plan(tmp_path, slo=Slo(ttft_s=0.1), price_per_hour=7.2))
    assert measured.server == {"running_mean": 1.0}
    assert {name: each["at_s"] for name, each in measured.series.items()} == {"server": [0.0, 0.9], "gpus": [0.5]}
    assert (measured.gpu["looks"], measured.gpu["energy_j"]) == (1.0, 700.0)
    assert measured.gpu["cost_per_million_tokens"] == pytest.approx(0.002 / measured.output_tokens_per_s * 1e6)
    assert measured.goodput == Goodput({"ttft_s": 0.1}, 6, 1.0, 6.0)
    assert (measured.validity, len(measured.reasons)) == (Validity.INVALID, 1)


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_without_a_window_there_is_no_measurement(tmp_path: Path, row: Make, text: str | None) -> None:
    _cell(tmp_path, _back_to_back(row))
    (tmp_path / WINDOW_FILE).unlink()
    if text is not None:
        (tmp_path / WINDOW_FILE).write_text(text)
    with pytest.raises(LoadTestFailed, match=r"window\.json"):
        measure(tmp_path, _plan(tmp_path))
