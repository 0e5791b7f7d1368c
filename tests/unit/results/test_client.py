from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from slipway.errors import LoadTestFailed
from slipway.results.client import OF_A_HOST, Client, figures, figures_by_host, load_clients
from slipway.results.rows import Row

MS = 1_000_000
SECOND = 1000 * MS


def _one_of_a_row(row: Callable[..., Row], sent_ns: int) -> Row:
    return row(scheduled_ns=sent_ns - 1000, sent_ns=sent_ns, first_token_ns=sent_ns + MS // 2, ended_ns=sent_ns + MS)


def test_figures_of_a_fit_client(row: Callable[..., Row]) -> None:
    rows = [_one_of_a_row(row, at * MS) for at in range(1000, 2000)]
    clients = [Client(0.2, 1.0, 50, 0, 0.0), Client(0.4, 1.0, 50, 0, -1e-7)]
    found = figures(rows, clients, users=1, start_ns=SECOND, end_ns=2 * SECOND)
    assert found == pytest.approx(
        {
            "cpu_share": 0.4,
            "cpu_s": 0.6,
            "send_lag_p99_s": 1e-6,
            "late_share": 0.0,
            "merged_share": 0.0,
            "inexact_share": 0.0,
            "under_way_mean": 1.0,
            "offered_share": 1.0,
            "off_schedule_share": 0.0,
            "unstamped_share": 0.0,
            "clock_step_s": 1e-7,
        }
    )


def test_shares_count_what_ended_in_the_window(row: Callable[..., Row]) -> None:
    rows = [row(late_us=900), row(late_us=1100), row(merged_tokens=2), row(counted_tokens=3)]
    rows += [row(late_us=9999, ended_ns=3 * SECOND), row(late_us=9999, error="timeout")]
    found = figures(rows, [Client(0.1, 1.0, 10, 5, 0.0)], users=2, start_ns=SECOND, end_ns=2 * SECOND)
    assert (found["late_share"], found["inexact_share"], found["merged_share"]) == (0.25, 0.25, 2 / 16)
    assert found["unstamped_share"] == 0.5


def test_an_open_loop_offered_what_was_sent_of_what_was_due(row: Callable[..., Row]) -> None:
    due = [_one_of_a_row(row, at * MS) for at in range(1000, 1100)]
    late = [row(scheduled_ns=1999 * MS, sent_ns=2001 * MS, ended_ns=2100 * MS)] * 25
    found = figures(due + late, [Client(0.1, 1.0, 10, 0, 0.0)], users=0, start_ns=SECOND, end_ns=2 * SECOND)
    assert found["offered_share"] == pytest.approx(0.8, abs=0.01)
    assert found["under_way_mean"] == pytest.approx(0.1)
    assert found["off_schedule_share"] == 0.0


def test_an_open_loop_whose_requests_left_late_or_never_was_off_its_schedule(row: Callable[..., Row]) -> None:
    on_time = [_one_of_a_row(row, at * MS) for at in range(1000, 1091)]
    late = row(scheduled_ns=1500 * MS, sent_ns=1601 * MS, ended_ns=1700 * MS)
    long_to_connect = row(scheduled_ns=1700 * MS, sent_ns=1701 * MS, connect_us=150_000, ended_ns=1800 * MS)
    clients = [Client(0.1, 1.0, 10, 0, 0.0, missed=8)]
    found = figures([*on_time, late, long_to_connect], clients, users=0, start_ns=SECOND, end_ns=2 * SECOND)
    assert found["off_schedule_share"] == pytest.approx(10 / 100)
    assert found["offered_share"] == pytest.approx(0.93)


def test_nothing_at_all_is_no_error() -> None:
    assert set(figures([], [], users=1, start_ns=0, end_ns=SECOND).values()) == {0.0}


def test_clients_are_read_from_their_files(tmp_path: Path) -> None:
    client = Client(0.5, 10.0, 7, 1, 0.0)
    (tmp_path / "clients-12.json").write_text(json.dumps(asdict(client)))
    assert load_clients(tmp_path) == [client]


@pytest.mark.parametrize("text", ["", "[]", '{"cpu_s": 1}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "clients-12.json").write_text(text)
    with pytest.raises(LoadTestFailed, match=r"clients-12\.json"):
        load_clients(tmp_path)


def test_each_host_answers_for_its_own(row: Callable[..., Row]) -> None:
    rows = [row(late_us=1100), row(host="load-2"), row(host="load-2", ended_ns=3 * SECOND)]
    away = Client(0.4, 1.0, 10, 5, 0.0, host="load-2", clock_ahead_s=-0.2, clock_bound_s=0.001)
    found = figures_by_host(rows, [Client(0.1, 1.0, 10, 0, 0.0), away], SECOND, 2 * SECOND)
    assert list(found) == ["", "load-2"]
    assert tuple(found[""]) == OF_A_HOST
    assert [found[name]["requests"] for name in ("", "load-2")] == [1, 1]
    assert [found[name]["late_share"] for name in ("", "load-2")] == [1.0, 0.0]
    assert [found[name]["cpu_share"] for name in ("", "load-2")] == [0.1, 0.4]
    assert [found[name]["unstamped_share"] for name in ("", "load-2")] == [0.0, 0.5]
    clock = [found["load-2"][name] for name in ("clock_ahead_s", "clock_bound_s", "clock_bound_share")]
    assert clock == [-0.2, 0.001, 0.001]
