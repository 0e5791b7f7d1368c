"""One process's share, with real users against a real server."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
import pytest

from slipway.loadgen.clock import Offset
from slipway.loadgen.plan import LoadPlan
from slipway.loadgen.prompts import Prompt, save_prompts
from slipway.loadgen.share import IDLE_S, Share
from slipway.results.cell import Window
from slipway.results.plan import Trace
from slipway.results.rows import Row, load_rows
from slipway.results.shape import Step


def _run(plan: LoadPlan, seconds: float) -> list[Row]:
    """A whole share: all users from the first moment on, a window of ``seconds``, the end."""
    share = Share(plan)
    users = [gevent.spawn(share.take_part) for _ in range(plan.locust_users)]
    now = time.time_ns()
    share.measure(Window(now, now + int(seconds * 1e9)))
    gevent.joinall(users, timeout=1, raise_error=True)
    assert all(user.ready() for user in users)
    return list(load_rows(Path(plan.folder)))


def test_users_ask_again_as_soon_as_they_were_answered(serve: Any, wire: Any, plan_for: Any) -> None:
    server = serve(lambda call: call.send(*wire.stream(4)))
    rows = _run(plan_for(server.url, users=3), 0.5)
    assert {row.error for row in rows} == {""}
    assert {row.user for row in rows} == {0, 1, 2}
    assert len(rows) == len(server.calls) > 30
    assert len(server.conns) == 3
    assert [row.connect_us > 0 for row in rows].count(True) == 3
    mine = [row for row in rows if row.user == 0]
    assert all(after.scheduled_ns == before.ended_ns for before, after in pairwise(mine))
    assert all(row.sent_ns >= row.scheduled_ns for row in rows)


def test_what_is_asked(serve: Any, wire: Any, plan_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "s3cret")
    server = serve(lambda call: call.send(*wire.stream(4)))
    plan = plan_for(f"{server.url}/base", api_key_env="A_KEY", temperature=0.5)
    rows = _run(plan, 0.1)
    call = server.calls[0]
    assert call.head.startswith("POST /base/v1/chat/completions HTTP/1.1\r\n")
    assert "Authorization: Bearer s3cret\r\n" in call.head
    assert f"X-Request-Id: {rows[0].id}\r\n" in call.head
    assert call.asked == {
        "model": "m",
        "messages": [{"role": "user", "content": "one two three"}],
        "max_tokens": 4,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }
    assert rows[0].asked_prompt_tokens == 3
    kept = "".join(path.read_text() for path in Path(plan.folder).iterdir())
    assert "s3cret" not in kept


def test_exact_counts_are_asked_for_once_events_and_tokens_differ(serve: Any, wire: Any, plan_for: Any) -> None:
    def behave(call: Any) -> None:
        exact = call.asked["stream_options"].get("continuous_usage_stats")
        stated = {"usage": {"prompt_tokens": 1, "completion_tokens": 4}} if exact else {}
        events = [wire.delta(content="a"), {**wire.delta(content="bcd"), **stated}, wire.usage(1, 4)]
        call.send(*wire.answer(*events))

    rows = _run(plan_for(serve(behave).url), 0.2)
    assert [(row.counted_tokens, row.output_tokens) for row in rows[:2]] == [(2, 4), (4, 4)]
    assert {row.counted_tokens for row in rows[1:]} == {4}


def _refuse(status: int) -> bytes:
    return b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status


def test_every_kind_of_failure_is_a_row_and_no_user_hangs(serve: Any, wire: Any, plan_for: Any) -> None:
    good = wire.stream(4)
    acts = {
        "http_429": lambda call: call.send(_refuse(429)),
        "http_503": lambda call: call.send(_refuse(503)),
        "http_400": lambda call: call.send(_refuse(400)),
        "connect_reset": lambda call: call.reset(),
        "no_answer": lambda call: call.conn.shutdown(socket.SHUT_RDWR),
        "truncated_stream": lambda call: (call.send(*good[:4]), call.conn.shutdown(socket.SHUT_RDWR)),
        "broken_json": lambda call: call.send(good[0], wire.chunk(b"data: {oops}\n\n")),
        "broken_http": lambda call: call.send(b"what?\r\n\r\n"),
        "no_usage": lambda call: call.send(*wire.answer(wire.delta(content="a"))),
        "slow_header": lambda call: time.sleep(1.0),
        "stalled": lambda call: (call.send(*good[:4]), time.sleep(1.0)),
        "timeout": lambda call: [(call.send(part), time.sleep(0.2)) for part in good],
        "endless_stream": lambda call: call.send(good[0], *good[2:3] * 500),
        "stream_error": lambda call: call.send(*wire.answer({"error": {"message": "boom"}})),
        "not_a_stream": lambda call: call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        "": lambda call: call.send(*good),
    }
    kinds = list(acts)
    server = serve(lambda call: acts[kinds[call.turn % len(kinds)]](call))
    rows = _run(plan_for(server.url, users=len(kinds), request_timeout_s=0.6), 0.2)
    assert {row.error for row in rows} == set(kinds)
    assert {row.user for row in rows} == set(range(len(kinds)))


def test_a_user_waits_after_a_failure(serve: Any, plan_for: Any) -> None:
    rows = _run(plan_for(serve(lambda call: call.send(_refuse(500))).url, users=2), 1.4)
    assert Counter(row.user for row in rows) == {0: 2, 1: 2}
    first, second = (row for row in rows if row.user == 0)
    assert 0.99 < (second.sent_ns - first.sent_ns) / 1e9 < 1.3
    assert second.sent_ns - second.scheduled_ns < 100_000_000


def test_retry_after_is_kept(serve: Any, plan_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.loadgen.share.PAUSE_S", 0.1)
    busy = b"HTTP/1.1 429 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    rows = _run(plan_for(serve(lambda call: call.send(busy)).url), 1.4)
    assert [row.error for row in rows] == ["http_429"] * 2
    assert (rows[1].sent_ns - rows[0].sent_ns) / 1e9 >= 1


def test_a_dead_server_is_not_hammered(plan_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.loadgen.share.PAUSE_S", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
    rows = _run(plan_for(url, users=4), 0.6)
    assert Counter(row.user for row in rows) == dict.fromkeys(range(4), 2)
    assert {(row.error, row.sent_ns) for row in rows} == {("connect_refused", 0)}


def test_answers_under_way_may_end_after_the_window(serve: Any, wire: Any, plan_for: Any) -> None:
    def behave(call: Any) -> None:
        time.sleep(0.4)
        call.send(*wire.stream(4))

    rows = _run(plan_for(serve(behave).url), 0.2)
    assert [row.error for row in rows] == [""]


def test_answers_that_do_not_end_are_cut(serve: Any, plan_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.results.plan.DRAIN_S", 0.3)
    rows = _run(plan_for(serve(lambda call: time.sleep(1.0)).url, users=2), 0.2)
    assert [row.error for row in rows] == ["cut", "cut"]


def test_health_is_kept_over_the_window(serve: Any, wire: Any, plan_for: Any) -> None:
    plan = plan_for(serve(lambda call: call.send(*wire.stream(4))).url)
    _run(plan, 0.3)
    health = json.loads(Path(plan.folder, f"clients-{os.getpid()}.json").read_text())
    assert 0.3 <= health["window_s"] < 0.5
    assert 0 < health["cpu_s"] <= health["window_s"] + 0.1
    assert health["reads"] > health["unstamped_reads"] == 0
    assert abs(health["clock_step_s"]) < 0.01


def test_an_open_loop_waits_for_no_answer(serve: Any, wire: Any, plan_for: Any) -> None:
    """Each answer takes 0.3 s and a request is due each 0.05 s, so that six are under way at a time."""

    def behave(call: Any) -> None:
        time.sleep(0.3)
        call.send(*wire.stream(4))

    server = serve(behave)
    rows = sorted(
        _run(plan_for(server.url, users=0, rate=20.0, arrivals="constant"), 1.0), key=lambda row: row.scheduled_ns
    )
    assert {row.error for row in rows} == {""}
    assert 18 <= len(rows) <= 22
    assert len(server.conns) >= 5
    due = [row.scheduled_ns - row.connect_us * 1000 for row in rows]
    assert [after - before for before, after in pairwise(due)] == pytest.approx([50e6] * (len(rows) - 1), abs=2000)
    lags = sorted(row.sent_ns - row.scheduled_ns for row in rows)
    assert lags[0] >= 0
    assert lags[len(lags) // 2] < 50e6
    assert len({row.user for row in rows}) == len(rows)


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    serve: Any, wire: Any, plan_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert IDLE_S < 5
    monkeypatch.setattr("slipway.loadgen.share.IDLE_S", 0.05)
    server = serve(lambda call: call.send(*wire.stream(4)))
    rows = _run(plan_for(server.url, users=0, rate=10.0, arrivals="constant"), 0.45)
    assert {row.error for row in rows} == {""}
    assert len(server.conns) == len(rows) >= 4


def test_an_open_loop_in_steps(serve: Any, wire: Any, plan_for: Any) -> None:
    server = serve(lambda call: call.send(*wire.stream(4)))
    steps = (Step(first=10, last=10, seconds=0.5), Step(first=40, last=40, seconds=0.5))
    rows = _run(plan_for(server.url, users=0, rate=40.0, steps=steps, arrivals="constant"), 1.0)
    due = sorted(row.scheduled_ns - row.connect_us * 1000 for row in rows)
    early = sum(at - due[0] < 0.45e9 for at in due)
    assert {row.error for row in rows} == {""}
    assert (early, len(rows)) == (5, 25)


def test_a_trace_asks_each_request_for_its_own_length(serve: Any, wire: Any, plan_for: Any) -> None:
    server = serve(lambda call: call.send(*wire.stream(call.asked["max_tokens"])))
    plan = plan_for(server.url, users=0, trace=Trace(file="t"))
    traced = [Prompt("a", 1, due_s=0.0, output_tokens=2), Prompt("b c", 2, due_s=0.2, output_tokens=5)]
    save_prompts(plan.prompts_path, traced)
    rows = sorted(_run(plan, 0.4), key=lambda row: row.scheduled_ns)
    assert [call.asked["messages"][0]["content"] for call in server.calls] == ["a", "b c"]
    assert [(row.asked_prompt_tokens, row.asked_output_tokens, row.output_tokens) for row in rows] == [
        (1, 2, 2),
        (2, 5, 5),
    ]
    due = [row.scheduled_ns - row.connect_us * 1000 for row in rows]
    assert due[1] - due[0] == pytest.approx(0.2e9, abs=2000)


def test_users_come_and_go_with_the_steps(serve: Any, wire: Any, plan_for: Any) -> None:
    def behave(call: Any) -> None:
        time.sleep(0.02)
        call.send(*wire.stream(4))

    steps = tuple(Step(first=users, last=users, seconds=0.4) for users in (1, 3, 2))
    plan = plan_for(serve(behave).url, users=3, steps=steps, seconds=1.2)
    rows = _run(plan, 1.2)
    begun = min(row.sent_ns for row in rows)
    seen = [{row.user for row in rows if at <= (row.sent_ns - begun) / 0.4e9 < at + 0.9} for at in range(3)]
    assert seen == [{0}, {0, 1, 2}, {0, 1}]
    assert plan.users_mean == 2.0


def test_requests_that_were_due_and_never_begun_are_counted(serve: Any, wire: Any, plan_for: Any) -> None:
    """The whole loop is blocked over the second half of the window."""
    plan = plan_for(serve(lambda call: call.send(*wire.stream(4))).url, users=0, rate=20.0, arrivals="constant")
    gevent.spawn_later(0.5, time.sleep, 0.8)
    _run(plan, 1.0)
    health = json.loads(Path(plan.folder, f"clients-{os.getpid()}.json").read_text())
    assert 5 <= health["missed"] <= 10


def test_rows_of_another_host_have_the_conducting_machines_times(serve: Any, wire: Any, plan_for: Any) -> None:
    server = serve(lambda call: call.send(*wire.stream(4)))
    plan = plan_for(server.url, host="load-2", processes=2, workers={"load-2": 1}, master=("127.0.0.1", 5557))
    ahead_ns = 3600 * 10**9
    share = Share(plan, clock=Offset(ahead_ns, 7000))
    users = [gevent.spawn(share.take_part)]
    start_ns = time.time_ns() - ahead_ns
    share.measure(Window(start_ns, start_ns + 3 * 10**8))
    gevent.joinall(users, timeout=1, raise_error=True)
    rows = list(load_rows(Path(plan.folder)))
    assert len(rows) > 1
    assert {row.host for row in rows} == {"load-2"}
    moments = ("scheduled", "sent", "first_event", "first_token", "first_content", "last_token", "ended")
    for row in rows:
        assert all(0 <= getattr(row, f"{name}_ns") - start_ns < 5 * 10**9 for name in moments)
    [path] = Path(plan.folder).glob("clients-*.json")
    health = json.loads(path.read_text())
    assert (health["host"], health["clock_ahead_s"], health["clock_bound_s"]) == ("load-2", 3600.0, 7e-6)


def test_a_moment_that_never_came_stays_none(plan_for: Any) -> None:
    plan = plan_for("http://127.0.0.1:9", host="load-2", processes=2, workers={"load-2": 1}, master=("127.0.0.1", 5557))
    share = Share(plan, clock=Offset(5, 1))
    user = gevent.spawn(share.take_part)
    now = time.time_ns()
    share.measure(Window(now, now + 10**8))
    user.join(2)
    assert {row.first_token_ns for row in load_rows(Path(plan.folder))} == {0}
